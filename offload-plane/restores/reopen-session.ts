/** Opens a page session of an earlier plane again, with the token that its pager has. */
import type { OrderLog } from '../order-log/contract.ts';
import type { UnfinishedRecordings } from '../order-log/unfinished.ts';
import type { PageServer, PageSession, SessionOptions } from '../page-server/contract.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { UnderWay } from './under-way.ts';

export interface Reopening {
  /** The restore's. */
  id: string;
  recordings: UnfinishedRecordings;
  pageServer: PageServer;
  record: UnderWay;
  reader: CheckpointReader;
  orderLog: OrderLog | undefined;
  timing: Pick<SessionOptions, 'deadlines' | 'faultsDryUpMs' | 'recordGraceMs' | 'onDone'>;
}

/**
 * A recording that was under way goes on: each fault that was answered is on record. With an order log that was replaced meanwhile a `prefill` would have another plan. What the pager
 * misses is then among what `lazy` leaves to it all the same, but the digest over its pages is not to be had.
 */
export function reopenSession({ id, recordings, pageServer, record, reader, orderLog, timing }: Reopening): {
  session: PageSession;
  canVerify: boolean;
} {
  const { guest, policy, effectivePolicy, token, result } = record;
  const reopened = { token, ...(result ? { result } : {}) };
  const options = () => {
    const unfinished = result ? undefined : recordings.goOn(id, reader);
    const recording = { record: unfinished !== undefined, ...(unfinished ? { unfinished } : {}) };
    return { guest, reader, policy, reopened, ...recording, ...timing };
  };
  const usesLog = effectivePolicy === 'ordered' || effectivePolicy === 'prefill';
  const session = pageServer.openSession({ ...options(), ...(usesLog && orderLog ? { orderLog } : {}) });
  if (session.planDigest() === record.planDigest) return { session, canVerify: true };
  void session.leave();
  return { session: pageServer.openSession({ ...options(), policy: 'lazy' }), canVerify: false };
}
