/** One dump of a container by its guest's agent, into a writer of the store. */
import type { AgentRequest, AgentResponse } from '../../interconnect/agent-api.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { type Container, named } from '../containers/container.ts';
import { AGENT_SHARE, type Guest } from '../guests/guest.ts';
import type { DumpSummary } from '../page-server/dump-contract.ts';
import { receiveDump } from '../page-server/receive-dump.ts';
import type { CheckpointWriter } from '../page-store/contract.ts';
import { type Following, pageProgress, unlessCancelled } from './cancellation.ts';
import type { DumpInbox } from './dump-inbox.ts';

type DumpCall = 'preDumpContainer' | 'checkpointContainer';

export interface AgentDump<C extends DumpCall> extends Following {
  call: C;
  container: Container;
  guest: Guest;
  deadlineMs: number;
  /** What the call says beside the deadline; its token is the dump's. */
  request: Omit<AgentRequest<C>, 'deadlineMs'> & { token: string };
  writer: CheckpointWriter;
  inbox: DumpInbox;
}

/** The agent's call and the stream of pages run side by side; either's failure ends the other. */
export async function dumpPages<C extends DumpCall>(
  job: AgentDump<C>,
): Promise<{ dump: DumpSummary; answer: AgentResponse<C> }> {
  const { container, guest, deadlineMs, request, writer } = job;
  const onPages = pageProgress(job);
  const arrival = job.inbox.expect(request.token, guest.registration.name);
  const received = arrival.stream.then((stream) =>
    receiveDump(stream, writer, { idleDeadlineMs: deadlineMs, onPages }).catch((error: unknown) => {
      stream.destroy();
      throw error;
    }),
  );
  received.catch(() => undefined);
  const called = guest.agent.call(
    job.call,
    { ...request, deadlineMs: Math.round(deadlineMs * AGENT_SHARE) } as AgentRequest<C>,
    { params: { id: container.id }, timeoutMs: deadlineMs },
  );
  try {
    // A refused dump (no space, a bad frame) says why better than CRIU, which only sees its peer go.
    const what = `checkpoint container ${container.name}`;
    const both = unlessCancelled(Promise.all([received, called]), job.signal, what);
    const [dump, answer] = await withDeadline(both, deadlineMs, `${what}: take its pages`);
    return { dump, answer };
  } catch (error) {
    arrival.drop();
    // The end of a stream can get lost on its way into the guest, and CRIU would wait for ever.
    await finishDump(job, 'resume', false).catch(() => undefined);
    await called.catch(() => undefined);
    // It may still be open when the agent has failed, or was cut off by its deadline.
    void arrival.stream.then(
      (stream) => stream.destroy(),
      () => undefined,
    );
    throw await received.then(
      () => named(error, container),
      (reason: unknown) =>
        reason instanceof OffloadError && reason.code === 'no_space' ? reason : named(error, container),
    );
  }
}

/** @param committed whether the dump is in the store, so that a later one may build on it */
export function finishDump(
  { container, guest, deadlineMs }: { container: Container; guest: Guest; deadlineMs: number },
  action: 'stop' | 'resume',
  committed: boolean,
): Promise<{ frozenMs: number }> {
  return guest.agent.call(
    'finishCheckpoint',
    { action, committed },
    { params: { id: container.id }, timeoutMs: deadlineMs },
  );
}
