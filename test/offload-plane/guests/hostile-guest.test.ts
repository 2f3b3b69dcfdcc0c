/** Whatever a guest sends, a call ends in time with an error of ours, memory stays, and others go on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AGENT_PORT } from '../../../interconnect/page-protocol.ts';
import { dialGuest } from '../../../interconnect/transport.ts';
import { type AgentClient, createAgentClient } from '../../../offload-plane/guests/agent-client.ts';
import { followEvents } from '../../../offload-plane/guests/agent-events.ts';
import { EVENT_BURST, EVENTS_PER_S } from '../../../offload-plane/guests/event-pace.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { startCpuTime } from '../../helpers/cpu-time.ts';
import { startFakeMachine } from '../../helpers/fake-machine.ts';
import { ATTACKS } from '../../helpers/hostile-agent.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const MIB = 1024 * 1024;
const CALL_TIMEOUT_MS = 700;
/** Of this process' processor time, between a deadline and its error: the machine may do other things as well. */
const LATE_CPU_MS = 2_000;
/** What takes so long does not end at all. */
const HANG_MS = 60_000;
/** An attack that is held back by nothing sends more than that in the time it has. */
const HELD_BYTES_MAX = 96 * MIB;
const PING_TIMEOUT_MS = 20_000;
const AGENT = join(import.meta.dirname, '../../helpers/hostile-agent.ts');

async function startAttack(attack: string): Promise<{ child: ChildProcess; socketPath: string }> {
  const socketPath = join(tempDirectory('hostile'), 'agent.sock');
  const child = spawn(process.execPath, [AGENT, socketPath, attack], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout!, 'data');
  return { child, socketPath };
}

async function dial(socketPath: string): Promise<AgentClient> {
  const socket = connect({ path: socketPath, allowHalfOpen: true }).on('error', () => {});
  await once(socket, 'connect');
  return createAgentClient('hostile', socket, PING_TIMEOUT_MS);
}

/** Calls another guest's agent until told to stop; gives the processor time that the slowest one took. */
function callOther(other: AgentClient): { stop(): Promise<number> } {
  let [slowestCpuMs, stopped] = [0, false];
  const calls = (async () => {
    while (!stopped) {
      const cpuMs = startCpuTime();
      await other.call('listContainers', undefined, { timeoutMs: HANG_MS });
      slowestCpuMs = Math.max(slowestCpuMs, cpuMs());
    }
  })();
  calls.catch(() => {});
  return {
    async stop() {
      stopped = true;
      await calls;
      return slowestCpuMs;
    },
  };
}

const machine = await startFakeMachine('other');
const other = createAgentClient(
  'other',
  await dialGuest(machine.registration.vsockPath, AGENT_PORT, HANG_MS),
  PING_TIMEOUT_MS,
);

for (const attack of ATTACKS) {
  test(`${attack}: the call ends in time, memory stays, and another guest goes on`, async () => {
    const { child, socketPath } = await startAttack(attack);
    const client = await dial(socketPath);
    const beside = callOther(other);
    const before = process.memoryUsage.rss();
    try {
      const startMs = performance.now();
      const cpuMs = startCpuTime();
      const call = client.call('health', undefined, { timeoutMs: CALL_TIMEOUT_MS }).then(
        () => undefined,
        (error: unknown) => error,
      );
      let eventCount = 0;
      const reader = {
        event() {
          eventCount += 1;
        },
        caughtUp() {},
      };
      const stop = followEvents(client, 0, reader);
      const error = await withDeadline(call, HANG_MS, 'the end of the call');
      const tookCpuMs = cpuMs();
      assert.instance(error, OffloadError, String(error));
      assert.ok(tookCpuMs < CALL_TIMEOUT_MS + LATE_CPU_MS, `the call took ${tookCpuMs} ms of processor time`);
      const followedMs = performance.now() - startMs;
      stop();
      assert.ok(
        eventCount <= EVENT_BURST + (EVENTS_PER_S * followedMs) / 1_000 + 1,
        `${eventCount} events taken`,
      );
      const held = process.memoryUsage.rss() - before;
      assert.ok(held < HELD_BYTES_MAX, `${(held / MIB).toFixed(0)} MiB held`);
    } finally {
      client.close();
      child.kill('SIGKILL');
    }
    await client.closed;
    assert.is(({} as { polluted?: boolean }).polluted, undefined);
    const slowestCpuMs = await beside.stop();
    assert.ok(
      slowestCpuMs < LATE_CPU_MS,
      `a call of the other guest took ${slowestCpuMs} ms of processor time`,
    );
  });
}

test.after(() => {
  other.close();
  machine.close();
});

test.run();
