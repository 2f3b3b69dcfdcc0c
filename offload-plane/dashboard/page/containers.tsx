/** Containers, what they use, and what can be done with them. */
import { useState } from 'preact/hooks';
import type { ContainerStats } from '../../../interconnect/agent-api.ts';
import type { ContainerView } from '../../http-api/schemas/containers.ts';
import { CheckpointDialog } from './checkpoint-dialog.tsx';
import { bytes, percent } from './format.ts';
import type { Live } from './live.ts';
import { LogsDialog } from './logs.tsx';
import { act, attemptNow } from './notices.tsx';
import { ActionButton, Empty, FormModal, Phase, Rows, Section } from './parts.tsx';
import { call, part } from './plane.ts';
import { usePoll } from './poll.ts';
import { TerminalDialog } from './terminal.tsx';

const STATS_INTERVAL_MS = 3_000;
/** More are listed, without figures. */
const MAX_POLLED = 40;

type Opened = { dialog: 'logs' | 'terminal' | 'checkpoint' | 'remove'; name: string };
type Use = { memoryBytes: number; cpuShare: number | undefined };

const COLUMNS = [
  'name',
  'state',
  'guest',
  'image',
  'ports',
  { number: 'CPU' },
  { number: 'memory' },
  'actions',
];

export function Containers({ live }: { live: Live }) {
  const [opened, setOpened] = useState<Opened>();
  const running = live.containers.filter(({ phase }) => phase === 'running' || phase === 'paused');
  const use = usePoll(
    running.slice(0, MAX_POLLED).map(({ name }) => name),
    useOf,
    STATS_INTERVAL_MS,
  );
  return (
    <Section id="containers" title="Containers" note={String(live.containers.length)}>
      {live.containers.length === 0 ? (
        <Empty>
          None yet. <code>offload run -d IMAGE</code> starts one, <code>offload images</code> lists what there
          is to start; or restore a checkpoint below.
        </Empty>
      ) : (
        <Rows columns={COLUMNS}>
          {live.containers.map((container) => (
            <Row key={container.id} container={container} use={use.get(container.name)} open={setOpened} />
          ))}
        </Rows>
      )}
      {opened === undefined ? null : (
        <Dialog opened={opened} live={live} onClose={() => setOpened(undefined)} />
      )}
    </Section>
  );
}

const before = new Map<string, { cpuUsageUs: number; atMs: number }>();

/** CPU is what was used since the last time it was asked. */
async function useOf(name: string): Promise<Use> {
  const stats = await call<ContainerStats>('GET', `/v1/containers/${part(name)}/stats`);
  const now = { cpuUsageUs: stats.cpuUsageUs, atMs: performance.now() };
  const last = before.get(name);
  before.set(name, now);
  const usedMs = last === undefined ? 0 : (now.cpuUsageUs - last.cpuUsageUs) / 1_000;
  return {
    memoryBytes: stats.memoryBytes,
    // Restarted in between, it begins at 0 again.
    cpuShare: last === undefined || usedMs < 0 ? undefined : usedMs / (now.atMs - last.atMs),
  };
}

function Row(props: { container: ContainerView; use: Use | undefined; open: (opened: Opened) => void }) {
  const { container, use, open } = props;
  const { name, phase, guest, image, ports } = container;
  return (
    <tr data-container={name}>
      <th scope="row">{name}</th>
      <td data-label="state">
        <Phase phase={phase} note={noteOf(container)} />
      </td>
      <td data-label="guest" title={guest}>
        {guest}
      </td>
      <td data-label="image" title={image}>
        {image}
      </td>
      <td data-label="ports">
        {ports.length === 0
          ? '–'
          : ports.map((port) => (
              <code key={port.hostPort}>
                {port.hostAddress}:{port.hostPort}→{port.containerPort}
              </code>
            ))}
      </td>
      <td data-label="CPU" class="number">
        {use?.cpuShare === undefined ? '–' : percent(use.cpuShare)}
      </td>
      <td data-label="memory" class="number">
        {use === undefined ? '–' : bytes(use.memoryBytes)}
      </td>
      <td class="actions">
        <Actions container={container} open={open} />
      </td>
    </tr>
  );
}

/** How it ended, or how its health check finds it. */
function noteOf({ phase, exitCode, health }: ContainerView): string | undefined {
  if (phase === 'stopped' && exitCode !== undefined) return `(${exitCode})`;
  return phase === 'running' && health !== undefined ? `(${health})` : undefined;
}

function Actions({ container, open }: { container: ContainerView; open: (opened: Opened) => void }) {
  const { name, phase } = container;
  const verb = (label: string, path: string) => (
    <ActionButton
      label={label}
      about={name}
      action={() => act(`${label} ${name}`, () => call('POST', `/v1/containers/${part(name)}/${path}`))}
    />
  );
  const dialog = (label: string, which: Opened['dialog'], kind?: 'danger') => (
    <button
      type="button"
      class={kind}
      aria-label={`${label} of ${name}`}
      onClick={() => open({ dialog: which, name })}
    >
      {label}
    </button>
  );
  const isRunning = phase === 'running';
  return (
    <>
      {isRunning ? dialog('Terminal', 'terminal') : null}
      {phase === 'lost' ? null : dialog('Logs', 'logs')}
      {isRunning ? dialog('Checkpoint', 'checkpoint') : null}
      {phase === 'created' || phase === 'stopped' ? verb('Start', 'start') : null}
      {isRunning ? verb('Pause', 'pause') : null}
      {phase === 'paused' ? verb('Resume', 'resume') : null}
      {isRunning ? verb('Stop', 'stop') : null}
      {dialog('Remove', 'remove', 'danger')}
    </>
  );
}

function Dialog({ opened, live, onClose }: { opened: Opened; live: Live; onClose: () => void }) {
  const { name } = opened;
  if (opened.dialog === 'logs') return <LogsDialog container={name} onClose={onClose} />;
  if (opened.dialog === 'terminal') return <TerminalDialog container={name} onClose={onClose} />;
  if (opened.dialog === 'checkpoint') {
    return (
      <CheckpointDialog container={name} taken={live.checkpoints.map(({ id }) => id)} onClose={onClose} />
    );
  }
  return (
    <FormModal
      title={`Remove ${name}?`}
      submit="Remove"
      danger
      onSubmit={() =>
        attemptNow(`Remove ${name}`, () => call('DELETE', `/v1/containers/${part(name)}?force=true`))
      }
      onClose={onClose}
    >
      <p>It is ended, and what it has written is gone. Its checkpoints stay.</p>
    </FormModal>
  );
}
