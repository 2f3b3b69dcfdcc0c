/**
 * One checkpoint, step by step: pages that may cross before do so while the container runs, then it
 * freezes, CRIU's pages come over the interconnect straight into the store, metadata follows. One that is to
 * run on does so from there, since it does so too when the commit fails. The store verifies and commits, and
 * only then one that is to end ends. Any failure before the commit: it runs on and the store holds nothing.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { agentPath, agentStreams } from '../../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import { readTar } from '../../platform/read-tar.ts';
import type { Container } from '../containers/container.ts';
import { setPhase } from '../containers/container.ts';
import type { Guest } from '../guests/guest.ts';
import type { DumpSummary } from '../page-server/dump-contract.ts';
import type {
  CheckpointManifest,
  CheckpointReader,
  CheckpointWriter,
  PageStore,
} from '../page-store/contract.ts';
import { dumpPages, finishDump } from './agent-dump.ts';
import { beginWriter } from './begin-writer.ts';
import { expectGoingOn, type Following } from './cancellation.ts';
import type { DumpInbox } from './dump-inbox.ts';
import type { Lineage } from './lineage.ts';
import { createPreDumps } from './pre-dumps.ts';

export interface CheckpointJob extends Following {
  id: string;
  container: Container;
  guest: Guest;
  /** stop: the container ends once committed; resume: it runs on. */
  after: 'stop' | 'resume';
  /** The container's last checkpoint: what has not changed since is taken from there. */
  parent?: string | undefined;
  /** So many times pages cross before the container freezes. */
  preDumpRounds: number;
  deadlineMs: number;
}

export interface CheckpointDeps {
  store: PageStore;
  inbox: DumpInbox;
  lineage: Lineage;
  newToken: () => string;
}

/** Pages that came from the guest at one time. */
export interface Transfer extends DumpSummary {
  /** The container ran, but for `frozenMs`. */
  preDump: boolean;
  /** Of a pre-dump, where CRIU says it. */
  frozenMs?: number;
}

export interface CheckpointOutcome {
  manifest: CheckpointManifest;
  /** How long the container stood still (until it ended, when it was stopped). */
  frozenMs: number;
  transfers: Transfer[];
}

export async function takeCheckpoint(job: CheckpointJob, deps: CheckpointDeps): Promise<CheckpointOutcome> {
  const { id, container, guest, after } = job;
  const { store, inbox, lineage } = deps;
  // Before anything is waited for: another checkpoint of the container is refused from here on.
  setPhase(container, 'checkpointing');
  const track = after === 'resume' && guest.health.tracksChanges;
  const preDumps = createPreDumps(job, deps);
  const transfers: Transfer[] = [];
  let inherited: CheckpointReader | undefined;
  let writer: CheckpointWriter | undefined;
  let reached = false;
  try {
    await expectPossible(job, store);
    const held = job.parent === undefined ? undefined : await lineage.open(container, job.parent);
    inherited = held?.reader;
    let parent = held?.parent;
    for (let round = 1; round <= job.preDumpRounds; round += 1) {
      reached = true;
      lineage.forget(container);
      const { transfer, taken } = await preDumps.take(parent);
      transfers.push(transfer);
      parent = taken;
    }
    writer = await beginWriter(store, { ...job, parent });
    reached = true;
    if (track || parent !== undefined) lineage.forget(container);
    const token = deps.newToken();
    const request = { token, track, ...(parent === undefined ? {} : { parent: parent.token }) };
    const { dump } = await dumpPages({ ...job, call: 'checkpointContainer', request, writer, inbox });
    transfers.push({ ...dump, preDump: false });
    await fetchFiles(job, writer);
    // From here on it is too late.
    expectGoingOn(job.signal, `checkpoint container ${container.name}`);
    job.progress?.('verifying what was written');
    const early = after === 'resume' ? await finishDump(job, 'resume', true) : undefined;
    const manifest = await writer.commit({
      recipe: container.recipe,
      guest: guest.registration.name,
      transfers,
      ...(job.parent === undefined ? {} : { parent: job.parent }),
      container: container.name,
      ...(container.restoredFrom ? { restoredFrom: container.restoredFrom.checkpoint } : {}),
    });
    const finished =
      early ??
      (await finishDump(job, 'stop', true).catch((error: unknown) => {
        throw notStopped(job, error);
      }));
    reached = false;
    if (track) lineage.note(container, { id, token, digest: manifest.digest });
    // The news of its end may have come before the answer.
    if (container.phase === 'checkpointing') setPhase(container, after === 'resume' ? 'running' : 'stopped');
    return { manifest, frozenMs: finished.frozenMs, transfers };
  } catch (error) {
    const resumed = reached ? finishDump(job, 'resume', false).catch(() => undefined) : undefined;
    await Promise.all([writer?.abort(), resumed]);
    if (container.phase === 'checkpointing') setPhase(container, guest.lost ? 'lost' : 'running');
    throw toOffloadError(error, `checkpoint container ${container.name}`);
  } finally {
    await inherited?.close();
    await preDumps.remove();
  }
}

/** Refuses what can be refused without touching the container. */
async function expectPossible(job: CheckpointJob, store: PageStore): Promise<void> {
  const { id, container, guest, parent, preDumpRounds } = job;
  if (parent === undefined && preDumpRounds === 0) return;
  if (!guest.health.tracksChanges) {
    throw new OffloadError(
      'invalid_state',
      `checkpoint container ${container.name}: guest ${guest.registration.name} does not track which pages change`,
    );
  }
  if (preDumpRounds > 0) await expectFree(id, store);
}

/** The store says so as well, but only after the pre-dumps. */
async function expectFree(id: string, store: PageStore): Promise<void> {
  const manifests = await store.list();
  if (manifests.some((manifest) => manifest.id === id)) {
    throw new OffloadError('already_exists', `page store begin: checkpoint ${id} is there already`);
  }
}

/** The checkpoint is there and stays, whatever became of the container. */
function notStopped({ id, container }: CheckpointJob, error: unknown): OffloadError {
  const known = toOffloadError(error, `stop container ${container.name}`);
  return new OffloadError(
    known.code,
    `checkpoint ${id} is committed, but its container was not stopped: ${known.message}`,
    { cause: error },
  );
}

/** CRIU's metadata images and the root filesystem's changes, from the agent's tar into the store. */
async function fetchFiles(job: CheckpointJob, writer: CheckpointWriter): Promise<void> {
  const { method, path } = agentStreams.checkpointFiles;
  const stream = await job.guest.agent.stream({
    method,
    path: agentPath(path, { id: job.container.id }),
    timeoutMs: job.deadlineMs,
  });
  const timer = setTimeout(() => {
    stream.destroy(
      new OffloadError('deadline_exceeded', `checkpoint files: not all within ${job.deadlineMs} ms`),
    );
  }, job.deadlineMs);
  const extract = readTar();
  const fed = pipeline(stream, extract);
  fed.catch(() => undefined);
  try {
    for await (const entry of extract) await storeFile(job, writer, entry.header.name, Readable.from(entry));
    await fed;
  } catch (error) {
    if (error instanceof OffloadError) throw error;
    throw new OffloadError('guest_lost', `checkpoint files: ${(error as Error).message}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function storeFile(job: CheckpointJob, writer: CheckpointWriter, name: string, source: Readable) {
  if (name === 'rootfs-diff.tar') return writer.addRootfsDiff(source);
  if (name.startsWith('images/')) return writer.addImage(name.slice('images/'.length), source);
  throw new OffloadError('guest_lost', `checkpoint ${job.id}: the guest sent an unexpected file ${name}`);
}
