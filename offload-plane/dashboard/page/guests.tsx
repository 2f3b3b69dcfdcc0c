/** Guests with their load, and what can be done with them. */
import { useState } from 'preact/hooks';
import type { GuestLoad } from '../../guests/load-history.ts';
import type { GuestView } from '../../http-api/schemas/guests.ts';
import { bytes, percent } from './format.ts';
import { DrainDialog, ForgetDialog } from './guest-dialogs.tsx';
import type { Live } from './live.ts';
import { act } from './notices.tsx';
import { ActionButton, Empty, Meter, Phase, Section } from './parts.tsx';
import { call, part } from './plane.ts';
import { usePoll } from './poll.ts';
import { Sparkline } from './sparkline.tsx';

const LOAD_INTERVAL_MS = 3_000;

type Opened = { dialog: 'drain' | 'forget'; name: string };

export function Guests({ live }: { live: Live }) {
  const alive = live.guests.filter(({ phase }) => phase === 'ready').map(({ name }) => name);
  const loads = usePoll(
    alive,
    (name) => call<GuestLoad[]>('GET', `/v1/guests/${part(name)}/load`),
    LOAD_INTERVAL_MS,
  );
  const [opened, setOpened] = useState<Opened>();
  const countIn = (name: string) => live.containers.filter(({ guest }) => guest === name).length;
  const asked = live.guests.find(({ name }) => name === opened?.name);
  const Dialog = opened?.dialog === 'drain' ? DrainDialog : ForgetDialog;
  return (
    <Section id="guests" title="Guests" note={String(live.guests.length)}>
      {live.guests.length === 0 ? (
        <Empty>
          No guest is registered. <code>offload up</code> starts two, <code>offload guest register</code>{' '}
          connects the plane to one that runs.
        </Empty>
      ) : (
        <ul class="cards">
          {live.guests.map((guest) => (
            <Guest
              key={guest.name}
              guest={guest}
              load={loads.get(guest.name) ?? []}
              containerCount={countIn(guest.name)}
              open={(dialog) => setOpened({ dialog, name: guest.name })}
            />
          ))}
        </ul>
      )}
      {asked === undefined ? null : (
        <Dialog guest={asked} containerCount={countIn(asked.name)} onClose={() => setOpened(undefined)} />
      )}
    </Section>
  );
}

function Guest(props: {
  guest: GuestView;
  load: GuestLoad[];
  containerCount: number;
  open: (dialog: Opened['dialog']) => void;
}) {
  const { guest, load, containerCount, open } = props;
  const latest = load.at(-1);
  return (
    <li class="card guest" data-guest={guest.name}>
      <header class="guest-head">
        <h3>{guest.name}</h3>
        {guest.cordoned && guest.phase === 'ready' ? (
          <Phase phase="cordoned" />
        ) : (
          <Phase phase={guest.phase} note={guest.cordoned ? '(cordoned)' : undefined} />
        )}
      </header>
      <p class="facts">
        {guest.vcpus} vCPU · {bytes(guest.memoryMiB * 1024 * 1024)} · {guest.accelerator} · {containerCount}{' '}
        {containerCount === 1 ? 'container' : 'containers'}
      </p>
      {latest === undefined ? <p class="facts">No figures yet.</p> : <Figures latest={latest} load={load} />}
      <Actions guest={guest} open={open} />
    </li>
  );
}

function Actions({ guest, open }: { guest: GuestView; open: (dialog: Opened['dialog']) => void }) {
  const { name, cordoned } = guest;
  const [label, verb] = cordoned ? (['Uncordon', 'uncordon'] as const) : (['Cordon', 'cordon'] as const);
  return (
    <p class="actions">
      <ActionButton
        label={label}
        about={name}
        action={() => act(`${label} ${name}`, () => call('POST', `/v1/guests/${part(name)}/${verb}`))}
      />
      {guest.phase === 'ready' ? (
        <button type="button" aria-label={`Drain ${name}`} onClick={() => open('drain')}>
          Drain
        </button>
      ) : null}
      <button type="button" class="danger" aria-label={`Forget ${name}`} onClick={() => open('forget')}>
        Forget
      </button>
    </p>
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
