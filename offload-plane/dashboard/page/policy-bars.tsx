/** Bars of the time to the first response, a policy each: the median, and a line from the lowest to the highest. */
import type { RestoreView } from '../../restores/restore.ts';
import { milliseconds } from './format.ts';
import { figuresByPolicy } from './policies.ts';

export function PolicyBars({ restores }: { restores: RestoreView[] }) {
  const figures = figuresByPolicy(restores);
  const longestMs = Math.max(...figures.map(({ highestMs }) => highestMs));
  const width = (ms: number) => `${(ms / longestMs) * 100}%`;
  return (
    <figure class="card bars">
      <figcaption>
        Request to first response <small>median, lowest to highest</small>
      </figcaption>
      {figures.length === 0 ? <p class="empty">No restore has answered on a published port yet.</p> : null}
      <dl>
        {figures.map(({ policy, restoreCount, lowestMs, medianMs, highestMs }) => (
          <div key={policy} data-policy={policy}>
            <dt>
              {policy} <small>×{restoreCount}</small>
            </dt>
            <dd>
              <span class="track" aria-hidden="true">
                <span class={`bar ${policy}`} style={{ width: width(medianMs) }} />
                {restoreCount > 1 ? (
                  <span
                    class="whisker"
                    style={{ left: width(lowestMs), width: width(highestMs - lowestMs) }}
                  />
                ) : null}
              </span>
              <span class="figure">
                <b>{milliseconds(medianMs)}</b>
                {restoreCount > 1 ? (
                  <small>
                    {milliseconds(lowestMs)} to {milliseconds(highestMs)}
                  </small>
                ) : null}
              </span>
            </dd>
          </div>
        ))}
      </dl>
    </figure>
  );
}
