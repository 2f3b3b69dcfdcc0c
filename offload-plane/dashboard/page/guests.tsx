/** Guests with their load. */
import type { GuestLoad } from '../../guests/load-history.ts';
import { bytes, percent } from './format.ts';
import type { Live } from './live.ts';
import { Empty, Meter, Phase, Section } from './parts.tsx';
import { call, part } from './plane.ts';
import { usePoll } from './poll.ts';
import { Sparkline } from './sparkline.tsx';

const LOAD_INTERVAL_MS = 3_000;

export function Guests({ live }: { live: Live }) {
  const alive = live.guests.filter(({ phase }) => phase === 'ready').map(({ name }) => name);
  const loads = usePoll(
    alive,
    (name) => call<GuestLoad[]>('GET', `/v1/guests/${part(name)}/load`),
    LOAD_INTERVAL_MS,
  );
  return (
    <Section id="guests" title="Guests" note={String(live.guests.length)}>
      {live.guests.length === 0 ? <Empty>No guest is registered.</Empty> : null}
      <ul class="cards">
        {live.guests.map((guest) => (
          <Guest
            key={guest.name}
            guest={guest}
            load={loads.get(guest.name) ?? []}
            containerCount={live.containers.filter((container) => container.guest === guest.name).length}
          />
        ))}
      </ul>
    </Section>
  );
}

function Guest(props: { guest: Live['guests'][number]; load: GuestLoad[]; containerCount: number }) {
  const { guest, load, containerCount } = props;
  const latest = load.at(-1);
  return (
    <li class="card guest">
      <header class="guest-head">
        <h3>{guest.name}</h3>
        <Phase phase={guest.phase} note={guest.cordoned ? '(cordoned)' : undefined} />
      </header>
      <p class="facts">
        {guest.vcpus} vCPU · {bytes(guest.memoryMiB * 1024 * 1024)} · {guest.accelerator} · {containerCount}{' '}
        {containerCount === 1 ? 'container' : 'containers'}
      </p>
      {latest === undefined ? <p class="facts">No figures yet.</p> : <Figures latest={latest} load={load} />}
    </li>
  );
}

function Figures({ latest, load }: { latest: GuestLoad; load: GuestLoad[] }) {
  const usedBytes = latest.memoryTotalBytes - latest.memoryAvailableBytes;
  const memory = (sample: GuestLoad) => 1 - sample.memoryAvailableBytes / sample.memoryTotalBytes;
  return (
    <>
      <Meter label="memory" share={memory(latest)} text={bytes(usedBytes)} />
      <Sparkline label="memory, last minutes" shares={load.map(memory)} />
      <Meter label="CPU" share={latest.cpuShare} text={percent(latest.cpuShare)} />
      <Sparkline label="CPU, last minutes" shares={load.map(({ cpuShare }) => cpuShare)} />
      {latest.pressure ? (
        <dl class="pressure" title="Share of the last 10 s in which something waited for it">
          <dt>waits for</dt>
          {(['cpu', 'memory', 'io'] as const).map((kind) => (
            <dd key={kind}>
              {kind} <b>{percent(latest.pressure![kind] / 100)}</b>
            </dd>
          ))}
        </dl>
      ) : null}
    </>
  );
}
