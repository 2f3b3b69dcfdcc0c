/** A call of the agent beside a bare echo, each on a vsock connection of its own. */
import { once } from 'node:events';
import { AGENT_PORT } from '../../interconnect/page-protocol.ts';
import { dialGuest } from '../../interconnect/transport.ts';
import { createAgentClient } from '../../offload-plane/guests/agent-client.ts';
import type { Guest } from '../../testbed/qemu/guest.ts';
import { type Statistics, statisticsOf } from '../statistics.ts';
import { PROGRAMS } from './disk.ts';
import type { InGuest } from './processes.ts';
import { CALL_VARIANTS, type CallVariant } from './report.ts';

const ECHO_PORT = 2001;
const MESSAGE = Buffer.alloc(64, 1);
const DIAL_TIMEOUT_MS = 30_000;
/** Before anything counts: the first calls pay for compilers at both ends. */
const WARM_UP_PART = 0.2;

/** In turns, so that whatever drifts on the machine meets all alike. */
export async function measureRoundTrips(options: {
  guest: Guest;
  inGuest: InGuest;
  containerId: string;
  rounds: number;
  timeoutMs: number;
}): Promise<Record<CallVariant, Statistics>> {
  const { guest, inGuest, containerId, rounds, timeoutMs } = options;
  await inGuest(`setsid ${PROGRAMS}/vsock-echo ${ECHO_PORT} >/dev/null 2>&1 </dev/null &`);
  const [echo, connection] = await Promise.all(
    [ECHO_PORT, AGENT_PORT].map((port) => dialGuest(guest.vsockPath, port, DIAL_TIMEOUT_MS)),
  );
  const agent = createAgentClient(guest.name, connection!, timeoutMs);
  const once_: Record<CallVariant, () => Promise<unknown>> = {
    async echo() {
      const answered = once(echo!, 'data');
      echo!.write(MESSAGE);
      await answered;
    },
    inspect: () => agent.call('inspectContainer', undefined, { params: { id: containerId }, timeoutMs }),
    list: () => agent.call('listContainers', undefined, { timeoutMs }),
  };
  const samples: Record<CallVariant, number[]> = { echo: [], inspect: [], list: [] };
  try {
    for (let round = -Math.ceil(rounds * WARM_UP_PART); round < rounds; round += 1) {
      for (const variant of CALL_VARIANTS) {
        const startMs = performance.now();
        await once_[variant]();
        if (round >= 0) samples[variant].push(performance.now() - startMs);
      }
    }
  } finally {
    agent.close();
    echo!.destroy();
  }
  return {
    echo: await statisticsOf(samples.echo),
    inspect: await statisticsOf(samples.inspect),
    list: await statisticsOf(samples.list),
  };
}
