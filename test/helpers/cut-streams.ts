/** Everything that streams through an agent, under way at once: to see what becomes of it when the agent is killed. */
import { PassThrough } from 'node:stream';
import tar from 'tar-stream';
import * as assert from 'uvu/assert';
import { KILL, type KilledAgent, shell } from './killed-agent.ts';
import { type Screen, screenOf } from './screen.ts';

/** Says so, waits until it may go, says so again and ends with that code. */
const waiter = (name: string, exitCode: number) =>
  `echo said-$((40+2))-${name}; until [ -e /tmp/go-${name} ]; do sleep 0.1; done; echo ended-$((40+3)); exit ${exitCode}`;

interface Exec {
  id: string;
  screen: Screen;
}

export function streamsOf(watched: KilledAgent) {
  const { plane, deadlineScale } = watched.testbed;
  const { stdio } = plane;
  const timeoutMs = 60_000 * deadlineScale;
  const letGo = (name: string) => `touch /proc/${watched.steadyPid}/root/tmp/go-${name}`;

  return {
    async attach(container: string): Promise<Screen> {
      return screenOf(await stdio.attach(container), timeoutMs);
    },
    async attachExec(id: string): Promise<Screen> {
      return screenOf(await stdio.attachExec(id), timeoutMs);
    },
    async exec(name: string, exitCode: number, terminal: boolean): Promise<Exec> {
      const command = ['sh', '-c', waiter(name, exitCode)];
      const { id } = await stdio.createExec('steady', { command, terminal, openStdin: terminal });
      const screen = screenOf(await stdio.attachExec(id), timeoutMs);
      await screen.see(new RegExp(`said-42-${name}`));
      return { id, screen };
    },
    /** The exec of this name ends. */
    letGo: (name: string) => shell(watched, letGo(name)),
    /** The exec of this name ends while there is no agent. */
    killAndLetGo: (name: string) => shell(watched, `${KILL}; ${letGo(name)}`),
    /** Resolve when they were cut off; it fails the test when they end as if they were whole. */
    async startCopies(): Promise<Promise<unknown>[]> {
      const followed = drained(stdio.logs('steady', { follow: true }));
      // Larger than what is under way at a time, and nobody takes it before the agent is gone.
      const out = await stdio.getArchive('steady', '/bin/busybox');
      const pack = tar.pack();
      pack.on('error', () => undefined);
      const entry = pack.entry({ name: 'half', size: 1_000_000 });
      entry.on('error', () => undefined);
      entry.write(Buffer.alloc(1_000));
      const into = stdio.putArchive('steady', '/tmp', pack.pipe(new PassThrough()));
      const agentPid = (await shell(watched, 'pgrep -f "[o]ffload/agent.mjs"')).trim();
      return [
        expectCut('a log that is followed', followed),
        expectCut(
          'a copy out',
          untilGone(watched, agentPid, () => drained(out)),
        ),
        expectCut('a copy in', into),
      ];
    },
  };
}

async function drained(source: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _chunk of source) count += 1;
  return count;
}

/** Begins only when that process has gone. */
async function untilGone<T>(watched: KilledAgent, pid: string, act: () => Promise<T>): Promise<T> {
  assert.match(pid, /^\d+$/);
  await shell(watched, `while [ -e /proc/${pid} ]; do sleep 0.1; done`);
  return act();
}

async function expectCut(what: string, act: Promise<unknown>): Promise<void> {
  await act.then(
    (end) => assert.unreachable(`${what} ended as if it were whole: ${String(end)}`),
    () => undefined,
  );
}
