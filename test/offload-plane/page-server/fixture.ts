/** A page server with a checkpoint to restore from, and pagers that have come as far as the work of a test. */
import { FrameType } from '../../../interconnect/page-protocol.ts';
import type { OrderLog } from '../../../offload-plane/order-log/contract.ts';
import { toOrderLog } from '../../../offload-plane/order-log/load.ts';
import type {
  PageServer,
  PageSession,
  SessionOptions,
  SessionResult,
} from '../../../offload-plane/page-server/contract.ts';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import type { CheckpointReader } from '../../../offload-plane/page-store/contract.ts';
import { HEAP, PAGE, withCheckpoint } from '../page-store/fixture.ts';
import { FakePager } from './fake-pager.ts';

/** Faults do not dry up while a test looks. */
const NEVER_DRY_MS = 60_000;

/** Pages that are not lazy: data, its zero page included, and the shared memory's two with content. */
export const FILE_PAGE_COUNT = 4 + 2;

export const at = (page: number) => HEAP + BigInt(page * PAGE);

export interface ServerFixture {
  reader: CheckpointReader;
  server: PageServer;
  /** Lazy and without a recording, unless the options say otherwise. */
  open(options?: Partial<SessionOptions>): PageSession;
}

export async function withServer(test: (fixture: ServerFixture) => Promise<void>): Promise<void> {
  await withCheckpoint(async ({ reader }) => {
    const server = createPageServer();
    const usual = {
      guest: 'g1',
      reader,
      policy: 'lazy',
      record: false,
      faultsDryUpMs: NEVER_DRY_MS,
    } as const;
    try {
      await test({ reader, server, open: (options = {}) => server.openSession({ ...usual, ...options }) });
    } finally {
      await server.close();
    }
  });
}

/** An order log of these pages of the heap. */
export function logOf(reader: CheckpointReader, pageNumbers: number[]): OrderLog {
  return toOrderLog(
    reader,
    pageNumbers.map((page, i) => ({ task: 42, vaddr: at(page), timeUs: i })),
  )!;
}

/** A session's pager, once it has what CRIU needs. */
export async function connect(
  server: PageServer,
  session: PageSession,
  creditPages = 1024,
): Promise<FakePager> {
  const pager = new FakePager(server, session.guest);
  pager.hello(session.token);
  pager.credit(creditPages);
  await pager.frame(FrameType.FILES_END);
  return pager;
}

/** Says that everything is in place once everything was sent. */
export async function finish(session: PageSession, pager: FakePager): Promise<SessionResult> {
  await pager.frame(FrameType.END);
  pager.done();
  return await session.done;
}
