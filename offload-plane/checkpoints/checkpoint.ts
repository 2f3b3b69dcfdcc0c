/**
 * One checkpoint, step by step: the container freezes, CRIU's pages come over the interconnect straight
 * into the store, metadata follows, the store verifies and commits, and only then the container ends or
 * runs on. Any failure before the commit: it runs on and the store holds nothing.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { agentPath, agentStreams } from '../../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Container } from '../containers/container.ts';
import { setPhase } from '../containers/container.ts';
import type { Guest } from '../guests/guest.ts';
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
  const writer = await deps.store.begin(id);
  setPhase(container, 'checkpointing');
  let frozen = true;
  try {
    const dump = await dumpPages(job, writer, deps.inbox);
    await fetchFiles(job, writer);
    const manifest = await writer.commit({ recipe: container.recipe, guest: guest.registration.name });
    const { frozenMs } = await finish(job, job.after);
    frozen = false;
    setPhase(container, job.after === 'resume' ? 'running' : 'stopped');
    return { manifest, frozenMs, dump };
  } catch (error) {
    await writer.abort();
    if (frozen) await finish(job, 'resume').catch(() => undefined);
    if (container.phase === 'checkpointing') setPhase(container, guest.lost ? 'lost' : 'running');
    throw toOffloadError(error, `checkpoint container ${container.name}`);
  }
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
    { token, deadlineMs },
    { params: { id: container.name }, timeoutMs: deadlineMs },
  );
  try {
    // A refused dump (no space, a bad frame) says why better than CRIU, which only sees its peer go.
    const [dump] = await Promise.all([received, called]);
    return dump;
  } catch (error) {
    arrival.drop();
    await called.catch(() => undefined);
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
  const extract = tar.extract();
  const fed = pipeline(stream, extract);
  fed.catch(() => undefined);
  for await (const entry of extract) {
    const { name } = entry.header;
    const source = Readable.from(entry as AsyncIterable<Buffer>);
    if (name === 'rootfs-diff.tar') await writer.addRootfsDiff(source);
    else if (name.startsWith('images/')) await writer.addImage(name.slice('images/'.length), source);
    else
      throw new OffloadError('guest_lost', `checkpoint ${job.id}: the guest sent an unexpected file ${name}`);
  }
  await fed;
}

function finish(job: CheckpointJob, action: 'stop' | 'resume'): Promise<{ frozenMs: number }> {
  return job.guest.agent.call(
    'finishCheckpoint',
    { action },
    { params: { id: job.container.name }, timeoutMs: job.deadlineMs },
  );
}
