/**
 * The main scenario: a container is warmed up in one guest, checkpointed, and restored into another under
 * every policy, several times in turn. Run by the demo in full size and by test/e2e in a small one.
 */
import type { PlaneClient } from '../../offload-plane/client/index.ts';
import type { Policy } from '../../offload-plane/page-server/contract.ts';
import type { RestoreView } from '../../offload-plane/restores/restore.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { WarmUpFacts, Workload, WorkloadSize } from '../workloads/workload.ts';
import { freePort } from './free-port.ts';
import type { ContainerReport, HeldReport, RestoreReport } from './report.ts';

export const POLICIES: readonly Policy[] = ['eager', 'lazy', 'ordered', 'prefill'];

export interface WarmRestoreOptions {
  plane: PlaneClient;
  /** Where it is warmed up, and where it is restored. */
  origin: string;
  target: string;
  workload: Workload;
  size: WorkloadSize;
  /** Distinguishes several runs on one plane. */
  name: string;
  repetitions: number;
  /** Policies whose restore is also held before its first instruction and compared byte for byte. */
  heldPolicies: readonly Policy[];
  /** Milliseconds on an unemulated machine are multiplied by this. */
  deadlineScale: number;
  onProgress: (text: string) => void;
}

/**
 * glibc without restartable sequences: the kernel writes a thread's rseq area before the thread runs, and a
 * held restore would differ from its checkpoint by that page a thread (rseq(2)).
 */
const COMPARABLE_ENV = 'GLIBC_TUNABLES=glibc.pthread.rseq=0';
const READY_DEADLINE_MS = 30_000;
const RESPONSE_DEADLINE_MS = 10_000;
const COMPLETE_DEADLINE_MS = 60_000;
const POLL_INTERVAL_MS = 20;

export async function runWarmRestore(options: WarmRestoreOptions): Promise<ContainerReport> {
  const { plane, workload, name, onProgress } = options;
  const facts = await warmUp(options);
  onProgress('checkpointing');
  const checkpoint = await plane.checkpoints.create({ container: name, id: name, after: 'stop' });
  await plane.containers.remove(name, { force: true });
  onProgress('recording the order of first touches');
  const recording = await restoreOnce(options, facts, 'lazy', 'record');
  const restores: RestoreReport[] = [];
  for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
    for (const policy of POLICIES) {
      onProgress(`restoring ${policy}, ${repetition} of ${options.repetitions}`);
      restores.push(await restoreOnce(options, facts, policy, `${policy}-${repetition}`));
    }
  }
  const heldRestores: HeldReport[] = [];
  for (const policy of options.heldPolicies) {
    onProgress(`comparing all memory after a held restore, ${policy}`);
    heldRestores.push(await restoreHeld(options, policy));
  }
  return {
    name,
    image: workload.image,
    checkpoint: {
      pageCount: checkpoint.pageCount,
      zeroPageCount: checkpoint.zeroPageCount,
      bytes: checkpoint.bytes,
      frozenMs: checkpoint.frozenMs ?? 0,
    },
    recording,
    restores,
    heldRestores,
  };
}

/** Starts the container and asks it what the restored one will be asked, until it is warm. */
async function warmUp(options: WarmRestoreOptions): Promise<WarmUpFacts> {
  const { plane, workload, size, name, deadlineScale, onProgress } = options;
  onProgress('starting');
  const created = await plane.containers.create({
    name,
    guest: options.origin,
    image: workload.image,
    env: [...workload.containerEnv(size), COMPARABLE_ENV],
    ports: [{ containerPort: workload.containerPort }],
  });
  await plane.containers.start(name);
  const endpoint = endpointOf(created.ports[0]);
  await workload.waitReady(endpoint, READY_DEADLINE_MS * deadlineScale);
  onProgress(`warming up with ${size.dataMiB} MiB`);
  let shownTenths = 0;
  return await workload.warmUp(endpoint, size, {
    onProgress(doneRatio) {
      const tenths = Math.floor(doneRatio * 10);
      if (tenths > shownTenths) onProgress(`warming up with ${size.dataMiB} MiB: ${tenths * 10} %`);
      shownTenths = Math.max(tenths, shownTenths);
    },
  });
}

/** One restore, measured from the request to a verified body, then followed to its last page and compared. */
async function restoreOnce(
  options: WarmRestoreOptions,
  facts: WarmUpFacts,
  policy: Policy,
  suffix: string,
): Promise<RestoreReport> {
  const { plane, workload, deadlineScale } = options;
  const name = `${options.name}-${suffix}`;
  const hostPort = await freePort();
  const startMs = performance.now();
  const request = plane.restores.create({
    checkpoint: options.name,
    guest: options.target,
    name,
    policy,
    ports: [{ containerPort: workload.containerPort, hostPort }],
  });
  const [restore, response] = await Promise.all([
    request,
    firstResponse(
      workload,
      { host: '127.0.0.1', port: hostPort },
      facts,
      RESPONSE_DEADLINE_MS * deadlineScale,
      request,
    ),
  ]);
  const ttfrMs = response.verifiedAtMs - startMs;
  await untilComplete(plane, restore.id, COMPLETE_DEADLINE_MS * deadlineScale);
  const view = await plane.restores.compareMemory(restore.id);
  await plane.containers.remove(name, { force: true });
  return reportOf(view, ttfrMs);
}

/** Compares every byte before the container has run at all, then lets it run for a moment to see that it can. */
async function restoreHeld(options: WarmRestoreOptions, policy: Policy): Promise<HeldReport> {
  const { plane, deadlineScale } = options;
  const name = `${options.name}-${policy}-held`;
  const restore = await plane.restores.create({
    checkpoint: options.name,
    guest: options.target,
    name,
    policy,
    hold: true,
  });
  await untilComplete(plane, restore.id, COMPLETE_DEADLINE_MS * deadlineScale);
  const { memory } = await plane.restores.compareMemory(restore.id);
  await plane.containers.resume(name);
  await plane.containers.remove(name, { force: true });
  return { policy, pageCount: memory?.pages ?? 0, equalPageCount: memory?.equal ?? 0 };
}

/** The port opens while the restore is being set up: until then connections are refused, and tried again. */
async function firstResponse(
  workload: Workload,
  endpoint: { host: string; port: number },
  facts: WarmUpFacts,
  deadlineMs: number,
  restore: Promise<unknown>,
) {
  let failure: unknown;
  restore.catch((error: unknown) => {
    failure = error;
  });
  return await pollUntil(
    async () => {
      if (failure) return Promise.reject(failure);
      try {
        return await workload.firstRequest(endpoint, facts, { deadlineMs });
      } catch (error) {
        if (error instanceof Error && error.message.includes('ECONNREFUSED')) return undefined;
        throw error;
      }
    },
    { timeoutMs: deadlineMs, intervalMs: 1, what: `first response of ${workload.name}` },
  );
}

async function untilComplete(plane: PlaneClient, id: string, timeoutMs: number): Promise<void> {
  await pollUntil(
    async () => {
      const view = await plane.restores.inspect(id);
      if (view.phase === 'failed')
        throw new OffloadError('runtime_failed', view.error?.message ?? 'restore failed');
      return view.phase === 'complete' ? view : undefined;
    },
    { timeoutMs, intervalMs: POLL_INTERVAL_MS, what: `restore ${id}: all pages in place` },
  );
}

function reportOf(view: RestoreView, ttfrMs: number): RestoreReport {
  const { memory } = view;
  return {
    policy: view.policy,
    ttfrMs,
    faultCount: view.faultCount,
    pushedPageCount: view.pushedPageCount,
    pageCountAtResponse: view.pageCountAtResponse ?? 0,
    totalPageCount: view.totalPageCount,
    allInMs: view.completeMs ?? 0,
    verified: true,
    memoryVerified:
      view.pagesVerified === true && memory !== undefined && memory.changed === memory.softDirtyChanged,
    changedPageCount: memory?.changed ?? 0,
  };
}

function endpointOf(port: { hostAddress: string; hostPort: number } | undefined) {
  if (!port) throw new OffloadError('internal', 'create container: no port was published');
  return { host: port.hostAddress, port: port.hostPort };
}
