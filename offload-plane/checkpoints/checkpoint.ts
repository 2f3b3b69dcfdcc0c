/**
 * One checkpoint, step by step: the container freezes, CRIU's pages come over the interconnect straight
 * into the store, metadata follows, the store verifies and commits, and only then the container ends or
 * runs on. Any failure before the commit: it runs on and the store holds nothing.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { agentPath, agentStreams } from '../../interconnect/agent-api.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Container } from '../containers/container.ts';
import { setPhase } from '../containers/container.ts';
import { AGENT_SHARE, type Guest } from '../guests/guest.ts';
import type { DumpSummary } from '../page-server/dump-contract.ts';
import { receiveDump } from '../page-server/receive-dump.ts';
import type { CheckpointManifest, CheckpointWriter, PageStore } from '../page-store/contract.ts';
import type { DumpInbox } from './dump-inbox.ts';

export interface CheckpointJob {
  id: string;
  container: Container;
  guest: Guest;
  /** stop: the container ends once committed; resume: it runs on. */
  after: 'stop' | 'resume';
  token: string;
  deadlineMs: number;
}

export interface CheckpointOutcome {
  manifest: CheckpointManifest;
  /** How long the container stood still (until it ended, when it was stopped). */
  frozenMs: number;
  dump: DumpSummary;
}

export async function takeCheckpoint(
  job: CheckpointJob,
  deps: { store: PageStore; inbox: DumpInbox },
): Promise<CheckpointOutcome> {
  const { id, container, guest } = job;
  // Before anything is waited for: another checkpoint of the container is refused from here on.
  setPhase(container, 'checkpointing');
  let writer: CheckpointWriter | undefined;
  let frozen = false;
  try {
    writer = await deps.store.begin(id);
    frozen = true;
    const dump = await dumpPages(job, writer, deps.inbox);
    await fetchFiles(job, writer);
    const manifest = await writer.commit({ recipe: container.recipe, guest: guest.registration.name });
    const { frozenMs } = await finish(job, job.after).catch((error: unknown) => {
      throw afterCommit(job, error);
    });
    frozen = false;
    // The news of its end may have come before the answer.
    if (container.phase === 'checkpointing') {
      setPhase(container, job.after === 'resume' ? 'running' : 'stopped');
    }
    return { manifest, frozenMs, dump };
  } catch (error) {
    const resumed = frozen ? finish(job, 'resume').catch(() => undefined) : undefined;
    await Promise.all([writer?.abort(), resumed]);
    if (container.phase === 'checkpointing') setPhase(container, guest.lost ? 'lost' : 'running');
    throw toOffloadError(error, `checkpoint container ${container.name}`);
  }
}

/** The checkpoint is there and stays, whatever became of the container. */
function afterCommit({ id, container, after }: CheckpointJob, error: unknown): OffloadError {
  const known = toOffloadError(error, `${after} container ${container.name}`);
  return new OffloadError(
    known.code,
    `checkpoint ${id} is committed, but its container was not ${after === 'stop' ? 'stopped' : 'resumed'}: ${known.message}`,
    { cause: error },
  );
}

/** The agent's call and the stream of pages run side by side; either's failure ends the other. */
async function dumpPages(
  job: CheckpointJob,
  writer: CheckpointWriter,
  inbox: DumpInbox,
): Promise<DumpSummary> {
  const { container, guest, token, deadlineMs } = job;
  const arrival = inbox.expect(token, guest.registration.name);
  const received = arrival.stream.then((stream) =>
    receiveDump(stream, writer, { idleDeadlineMs: deadlineMs }).catch((error: unknown) => {
      stream.destroy();
      throw error;
    }),
  );
  received.catch(() => undefined);
  const called = guest.agent.call(
    'checkpointContainer',
    { token, deadlineMs: Math.round(deadlineMs * AGENT_SHARE) },
    { params: { id: container.name }, timeoutMs: deadlineMs },
  );
  try {
    // A refused dump (no space, a bad frame) says why better than CRIU, which only sees its peer go.
    const both = Promise.all([received, called]);
    const [dump] = await withDeadline(
      both,
      deadlineMs,
      `checkpoint container ${container.name}: take its pages`,
    );
    return dump;
  } catch (error) {
    arrival.drop();
    // The end of a stream can get lost on its way into the guest, and CRIU would wait for ever.
    await finish(job, 'resume').catch(() => undefined);
    await called.catch(() => undefined);
    // It may still be open when the agent has failed, or was cut off by its deadline.
    void arrival.stream.then(
      (stream) => stream.destroy(),
      () => undefined,
    );
    throw await received.then(
      () => error,
      (reason: unknown) => (reason instanceof OffloadError && reason.code === 'no_space' ? reason : error),
    );
  }
}

/** CRIU's metadata images and the root filesystem's changes, from the agent's tar into the store. */
async function fetchFiles(job: CheckpointJob, writer: CheckpointWriter): Promise<void> {
  const { method, path } = agentStreams.checkpointFiles;
  const stream = await job.guest.agent.stream({
    method,
    path: agentPath(path, { id: job.container.name }),
    timeoutMs: job.deadlineMs,
  });
  const timer = setTimeout(() => {
    stream.destroy(
      new OffloadError('deadline_exceeded', `checkpoint files: not all within ${job.deadlineMs} ms`),
    );
  }, job.deadlineMs);
  const extract = tar.extract();
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

function finish(job: CheckpointJob, action: 'stop' | 'resume'): Promise<{ frozenMs: number }> {
  return job.guest.agent.call(
    'finishCheckpoint',
    { action },
    { params: { id: job.container.name }, timeoutMs: job.deadlineMs },
  );
}
