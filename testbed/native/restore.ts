/**
 * One restore of a native checkpoint, stock or ours, timed from the command to a verified answer. What a
 * machine has ready before anyone asks for a restore (namespaces, a running plane, a client at the door) is
 * made before the clock starts; every process and every file that the restore itself needs is made after.
 */
import { linkSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Policy } from '../../offload-plane/page-server/contract.ts';
import { OffloadError } from '../../platform/errors.ts';
import { copyState, scratchDirectory } from './checkpoint.ts';
import { CRIU_OPTIONS, openWorld, prepareDirectory, type World } from './criu-world.ts';
import { askFirst, monotonicMs } from './first-answer.ts';
import type { NativePlane } from './plane.ts';
import type { SessionEnd } from './plane-protocol.ts';
import { type ResidentSample, watchResident } from './resident.ts';
import type { NativeWorkload } from './workload.ts';

/** Where the checkpoint of a workload lies, in each form. */
export interface NativeCheckpoint {
  workload: NativeWorkload;
  /** CRIU's own dump on the device. */
  images: string;
  /** Metadata only; pages come over CRIU's page-server wire. */
  stockImages: string;
  /** Its id in the plane's store. */
  id: string;
  /** What it had in /run/state, if it has files there. */
  state?: string;
}

export type RestoreWay =
  | { kind: 'stock'; how: 'eager' | 'lazy' | 'lazy-remote' }
  | { kind: 'ours'; policy: Policy; order?: string; record?: boolean; keepOrderAs?: string };

export interface NativePlaneAccess {
  plane: NativePlane;
  /** The program that is started for a restore of ours. */
  pager: string;
  /** Where pagers connect to: the plane's socket, or a shaper before it. */
  pagerSocket: string;
  /** The port that stands for a port of the plane: the same, or a shaper's. */
  portOf(port: number): Promise<number>;
}

export interface RestoreSample {
  ttfrMs: number;
  /** Until every page is in place. */
  allInMs?: number;
  /** Until `criu restore` had ended. */
  criuMs: number;
  /** Until `criu restore` could start: plane, images and pager, or lazy-pages, were ready. */
  preparedMs?: number;
  /** Demand faults up to the response; of stock restores it is not known. */
  faultCount?: number;
  installedAtResponse?: number;
  session?: SessionEnd;
  /** With `trace`. */
  resident?: readonly ResidentSample[];
  startedAtMs: number;
}

const WORK = '-W /run/test/work';
const QUIET = '</dev/null >/dev/null 2>&1';

export interface RestoreOptions {
  trace?: boolean;
  /** Until every page is in place, not only to the answer. Default: true. */
  follow?: boolean;
  /** Called when everything is prepared; then `start` is waited for. */
  onPrepared?: () => void;
  start?: Promise<void>;
}

export async function restoreOnce(
  checkpoint: NativeCheckpoint,
  way: RestoreWay,
  access: NativePlaneAccess,
  options: RestoreOptions = {},
): Promise<RestoreSample> {
  const directory = scratchDirectory();
  prepareDirectory(directory, [...checkpoint.workload.programs, access.pager]);
  let world: World | undefined;
  try {
    const images = way.kind === 'stock' ? stockImages(checkpoint, way.how) : join(directory, 'images');
    if (checkpoint.state !== undefined) await copyState(checkpoint.state, join(directory, 'state'));
    const { mounts = {} } = checkpoint.workload;
    world = await openWorld(directory, { images, mounts });
    // As on a machine that ran CRIU before: what it found out about the kernel lies in /run/criu.kdat.
    await world.run(`criu check --feature uffd-noncoop ${QUIET}`);
    await world.run('mkfifo /run/test/status && exec 3<>/run/test/status');
    linkSync(access.pagerSocket, join(directory, 'plane.sock'));
    const client = askFirst(checkpoint.workload, directory);
    await client.waiting;
    options.onPrepared?.();
    await options.start;
    const { follow = true, trace = false } = options;
    const run = { world, directory, checkpoint, access, follow, trace, answeredAtMs: client.answeredAtMs };
    const watch = trace ? watchResident(world.pid) : undefined;
    try {
      const restore = way.kind === 'stock' ? restoreStock(run, way.how) : restoreOurs(run, way);
      const sample = await restore;
      return watch === undefined ? sample : { ...sample, resident: watch.samples };
    } finally {
      watch?.stop();
    }
  } finally {
    await world?.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Run {
  world: World;
  directory: string;
  checkpoint: NativeCheckpoint;
  access: NativePlaneAccess;
  answeredAtMs: Promise<number>;
  follow: boolean;
  trace: boolean;
}

function stockImages(checkpoint: NativeCheckpoint, how: 'eager' | 'lazy' | 'lazy-remote'): string {
  return how === 'lazy-remote' ? checkpoint.stockImages : checkpoint.images;
}

async function criuRestore(run: Run, lazy: boolean): Promise<void> {
  const command = `criu restore -d -D /run/images ${WORK} -o restore.log ${CRIU_OPTIONS}`;
  const exitCode = await run.world.run(`${command} ${lazy ? '--lazy-pages' : ''} 3<&- ${QUIET}`);
  if (exitCode !== 0) throw failed(run, 'criu restore', exitCode);
}

function failed(run: Run, what: string, exitCode: number): OffloadError {
  const logs = ['restore.log', 'lazy.log', 'pager.log'].map((name) => {
    try {
      return `${name}: ${readFileSync(join(run.directory, 'work', name), 'utf8').slice(-600)}`;
    } catch {
      return '';
    }
  });
  return new OffloadError('runtime_failed', `${what}: exit ${exitCode}: ${logs.join(' ')}`);
}

async function restoreStock(run: Run, how: 'eager' | 'lazy' | 'lazy-remote'): Promise<RestoreSample> {
  const { world, answeredAtMs } = run;
  const port = how === 'lazy-remote' ? await stockPort(run) : undefined;
  const startedAtMs = monotonicMs();
  let preparedMs: number | undefined;
  if (how !== 'eager') {
    const server = port === undefined ? '' : `--page-server --address 127.0.0.1 --port ${port}`;
    const command = `criu lazy-pages -D /run/images ${WORK} -v2 -o lazy.log ${server} --status-fd 3 ${QUIET}`;
    const exitCode = await world.run(`${command} & lazy=$!; read -r -d '' -t 30 -u 3 ready; [ $? -eq 0 ]`);
    if (exitCode !== 0) throw failed(run, 'criu lazy-pages', exitCode);
    preparedMs = monotonicMs() - startedAtMs;
  }
  await criuRestore(run, how !== 'eager');
  const criuMs = monotonicMs() - startedAtMs;
  const ttfrMs = (await answeredAtMs) - startedAtMs;
  if (how === 'eager') return { ttfrMs, allInMs: criuMs, criuMs, startedAtMs };
  if (!run.follow) return { ttfrMs, criuMs, preparedMs: preparedMs!, startedAtMs };
  const exitCode = await world.run('wait $lazy');
  if (exitCode !== 0) throw failed(run, 'criu lazy-pages', exitCode);
  return { ttfrMs, allInMs: monotonicMs() - startedAtMs, criuMs, preparedMs: preparedMs!, startedAtMs };
}

/** The server of a stock lazy-pages runs before the restore begins, as our plane does. */
async function stockPort(run: Run): Promise<number> {
  const { plane, portOf } = run.access;
  return portOf((await plane.call('serveStock', { checkpoint: run.checkpoint.id })).port);
}

async function restoreOurs(run: Run, way: RestoreWay & { kind: 'ours' }): Promise<RestoreSample> {
  const { world, directory, checkpoint, access, answeredAtMs } = run;
  const { policy, order, record = false, keepOrderAs } = way;
  const startedAtMs = monotonicMs();
  const { session } = await access.plane.call('openRestore', {
    checkpoint: checkpoint.id,
    policy,
    record,
    directory,
    trace: run.trace,
    ...(order === undefined ? {} : { order }),
  });
  const pager =
    '/run/test/bin/offload-pager --connect unix:/run/test/plane.sock --token-file /run/test/token ' +
    '--work-dir /run/test/work --images-dir /run/test/images';
  const ready = await world.run(
    `${pager} </dev/null >&3 2>/run/test/work/pager.log & pager=$!; read -r -t 30 -u 3 ready; [ "$ready" = ready ]`,
  );
  if (ready !== 0) throw failed(run, 'offload-pager', ready);
  const preparedMs = monotonicMs() - startedAtMs;
  await criuRestore(run, policy !== 'eager');
  const criuMs = monotonicMs() - startedAtMs;
  const ttfrMs = (await answeredAtMs) - startedAtMs;
  const atResponse = await access.plane.call('responded', { session });
  const sample = {
    ttfrMs,
    criuMs,
    preparedMs,
    faultCount: atResponse.demandFaults,
    installedAtResponse: atResponse.installed,
    startedAtMs,
  };
  if (!run.follow) {
    await access.plane.call('abandonRestore', { session });
    return sample;
  }
  const end = await access.plane.call('restoreEnd', {
    session,
    ...(keepOrderAs === undefined ? {} : { keepOrderAs }),
  });
  if (!end.memoryVerified)
    throw new OffloadError('digest_mismatch', `restore ${policy}: memory is not verified`);
  return { ...sample, allInMs: Math.max(end.doneAtMs - startedAtMs, criuMs), session: end };
}
