/** Containers of the demo's workloads in real guests: started and warmed up, and restored to the last page. */
import * as assert from 'uvu/assert';
import type { RestoreView } from '../../offload-plane/restores/restore.ts';
import { pollUntil } from '../../platform/deadline.ts';
import type { Testbed } from '../../testbed/testbed.ts';
import {
  type Endpoint,
  type WarmUpFacts,
  WORKLOADS,
  type Workload,
  type WorkloadSize,
} from '../../testbed/workloads/workloads.ts';

type World = Pick<Testbed, 'plane' | 'deadlineScale'>;

/** What a workload may take to answer, or a restore to complete. */
export const deadlineOf = ({ deadlineScale }: World) => 30_000 * deadlineScale;

export interface WarmContainer {
  workload: Workload;
  endpoint: Endpoint;
  facts: WarmUpFacts;
}

export async function startWarm(
  world: World,
  container: { name: string; guest: string; image?: Workload['image']; size?: WorkloadSize; env?: string[] },
): Promise<WarmContainer> {
  const { name, guest, image = 'redis', env = [] } = container;
  const workload = WORKLOADS[image];
  const size = container.size ?? workload.smallSize;
  await world.plane.containers.create({
    ...{ name, guest, image },
    env: [...workload.containerEnv(size), ...env],
    ports: [{ containerPort: workload.containerPort }],
  });
  await world.plane.containers.start(name);
  const [endpoint, deadlineMs] = [await endpointOf(world, name), deadlineOf(world)];
  await workload.waitReady(endpoint, deadlineMs);
  return { workload, endpoint, facts: await workload.warmUp(endpoint, size, { deadlineMs }) };
}

/** Of its first published port. */
export async function endpointOf({ plane }: World, name: string): Promise<Endpoint> {
  const { ports } = await plane.containers.inspect(name);
  return { host: '127.0.0.1', port: ports[0]!.hostPort };
}

/** Waits for the last page of a restore. */
export async function completed(world: World, restore: string): Promise<RestoreView> {
  const view = await pollUntil(
    async () => {
      const seen = await world.plane.restores.inspect(restore);
      return seen.phase === 'complete' || seen.phase === 'failed' ? seen : undefined;
    },
    { timeoutMs: deadlineOf(world), intervalMs: 50, what: `restore ${restore}` },
  );
  assert.is(view.phase, 'complete', view.error?.message);
  assert.is(view.pagesVerified, true);
  return view;
}
