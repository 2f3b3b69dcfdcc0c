/** Restores: how their pages came, how soon they answered, and how the policies compare. */
import { useState } from 'preact/hooks';
import type { RestoreView } from '../../restores/restore.ts';
import { count, milliseconds } from './format.ts';
import { isUnderWay, type Live } from './live.ts';
import { Empty, Phase, Rows, Section } from './parts.tsx';
import { PolicyBars } from './policy-bars.tsx';
import { RestoreChart } from './restore-chart.tsx';

const SHOWN_COUNT = 12;

const COLUMNS = [
  'container',
  'state',
  'guest',
  'policy',
  { number: 'first response' },
  { number: 'all pages' },
  { number: 'faults' },
  { number: 'pushed' },
  'pages over time',
];

export function Restores({ live }: { live: Live }) {
  const [chosen, choose] = useState<string>();
  const newestFirst = [...live.restores].sort((a, b) => b.createdAt.localeCompare(a.createdAt));
  // The one under way is what one wants to see, unless another was asked for.
  const shown = newestFirst.find(({ id }) => id === chosen) ?? newestFirst.find(isUnderWay) ?? newestFirst[0];
  return (
    <Section id="restores" title="Restores" note={String(live.restores.length)}>
      {shown === undefined ? (
        <Empty>
          None yet. Press Restore at a checkpoint, or <code>offload restore CHECKPOINT</code>, to see its
          pages come.
        </Empty>
      ) : (
        <>
          <div class="split">
            <RestoreChart key={shown.id} restore={shown} />
            <PolicyBars restores={live.restores} />
          </div>
          <RestoreTable restores={newestFirst.slice(0, SHOWN_COUNT)} shownId={shown.id} choose={choose} />
        </>
      )}
    </Section>
  );
}

function RestoreTable(props: { restores: RestoreView[]; shownId: string; choose: (id: string) => void }) {
  const { restores, shownId, choose } = props;
  return (
    <Rows columns={COLUMNS}>
      {restores.map((restore) => (
        <Row key={restore.id} restore={restore} isShown={restore.id === shownId} choose={choose} />
      ))}
    </Rows>
  );
}

function Row(props: { restore: RestoreView; isShown: boolean; choose: (id: string) => void }) {
  const { restore, isShown, choose } = props;
  const { id, container, guest, phase, policy, effectivePolicy, firstResponseMs, completeMs } = restore;
  return (
    <tr data-restore={id} class={isShown ? 'shown' : ''}>
      <th scope="row" title={restore.error?.message}>
        {container}
      </th>
      <td data-label="state">
        <Phase phase={phase} />
      </td>
      <td data-label="guest" title={guest}>
        {guest}
      </td>
      <td data-label="policy">{policy === effectivePolicy ? policy : `${policy} (as ${effectivePolicy})`}</td>
      <td data-label="first response" class="number">
        {firstResponseMs === undefined ? '–' : milliseconds(firstResponseMs)}
      </td>
      <td data-label="all pages" class="number">
        {completeMs === undefined ? '–' : milliseconds(completeMs)}
      </td>
      <td data-label="faults" class="number">
        {count(restore.faultCount)}
      </td>
      <td data-label="pushed" class="number">
        {count(restore.pushedPageCount)}
      </td>
      <td class="actions">
        <button
          type="button"
          aria-pressed={isShown}
          aria-label={`Show pages of ${id}`}
          onClick={() => choose(id)}
        >
          {isShown ? 'Shown' : 'Show'}
        </button>
      </td>
    </tr>
  );
}
