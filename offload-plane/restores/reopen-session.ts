/** Opens a page session of an earlier plane again, with the token that its pager has. */
import type { OrderLog } from '../order-log/contract.ts';
import type { PageServer, PageSession, SessionOptions } from '../page-server/contract.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { UnderWay } from './under-way.ts';

export interface Reopening {
  pageServer: PageServer;
  record: UnderWay;
  reader: CheckpointReader;
  orderLog: OrderLog | undefined;
  timing: Pick<SessionOptions, 'deadlines' | 'faultsDryUpMs' | 'recordGraceMs' | 'onDone'>;
}

/**
 * What the faults have told so far is gone with the plane, and half an order would be a wrong one: nothing is
 * recorded. With an order log that was replaced meanwhile a `prefill` would have another plan. What the pager
 * misses is then among what `lazy` leaves to it all the same, but the digest over its pages is not to be had.
 */
export function reopenSession({ pageServer, record, reader, orderLog, timing }: Reopening): {
  session: PageSession;
  canVerify: boolean;
} {
  const { guest, policy, effectivePolicy, token, result } = record;
  const reopened = { token, ...(result ? { result } : {}) };
  const options = { guest, reader, policy, record: false, reopened, ...timing };
  const usesLog = effectivePolicy === 'ordered' || effectivePolicy === 'prefill';
  const session = pageServer.openSession({ ...options, ...(usesLog && orderLog ? { orderLog } : {}) });
  if (session.planDigest() === record.planDigest) return { session, canVerify: true };
  void session.leave();
  return { session: pageServer.openSession({ ...options, policy: 'lazy' }), canVerify: false };
}
