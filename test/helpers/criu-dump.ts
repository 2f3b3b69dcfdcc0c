/** What CRIU sends to a page server for one little task, and a guest's relay that sends it. */
import { type Duplex, duplexPair } from 'node:stream';
import { relayDump } from '../../interconnect/dump-stream.ts';
import {
  CriuCommand,
  encodeCriuHeader,
  encodeCriuTarget,
} from '../../offload-plane/page-server/criu-wire.ts';

const PAGE_BYTES = 4096;
const PARENT = 1;
const PRESENT_AND_LAZY = 6;
const task = encodeCriuTarget({ kind: 'task', id: 1 });
const command = (number: number, target: bigint, vaddr = 0n, pageCount = 0n, flags = 0) =>
  encodeCriuHeader({ command: number, flags, vaddr, pageCount, target });

export const DUMPED_PAGE_COUNT = 3;
export const DUMP = Buffer.concat([
  command(CriuCommand.OPEN2, task),
  command(CriuCommand.ADD_F, task, 0x7f00_0000_0000n, BigInt(DUMPED_PAGE_COUNT), PRESENT_AND_LAZY),
  Buffer.alloc(DUMPED_PAGE_COUNT * PAGE_BYTES, 'p'),
  command(CriuCommand.CLOSE, 0n),
]);

/** The same task later, with its second page changed. */
export const LATER_DUMP = Buffer.concat([
  command(CriuCommand.OPEN2, task),
  command(CriuCommand.ADD_F, task, 0x7f00_0000_0000n, 1n, PARENT),
  command(CriuCommand.ADD_F, task, 0x7f00_0000_1000n, 1n, PRESENT_AND_LAZY),
  Buffer.alloc(PAGE_BYTES, 'q'),
  command(CriuCommand.ADD_F, task, 0x7f00_0000_2000n, 1n, PARENT),
  command(CriuCommand.CLOSE, 0n),
]);

/** The statistics of a dump: magic numbers, a length, and 1.5 ms to freeze, 300 ms frozen, 7 and 9 of other things. */
export const STATS = Buffer.from(
  '405910550633095712000000' + '0a10' + '08dc0b' + '10e0a712' + '1807' + '2009' + '28ac02' + '3000',
  'hex',
);

/** One byte at OPEN2, four at CLOSE. */
export const ANSWER_BYTES = 5;

/** Relays `dump` over `plane` as the agent does; CRIU hangs up at the last answer, and fails without it. */
export async function relayCriuDump(plane: Duplex, token: string, dump = DUMP): Promise<void> {
  const [criu, relayed] = duplexPair();
  criu.on('error', () => {});
  let answeredBytes = 0;
  criu.on('data', (chunk: Buffer) => {
    answeredBytes += chunk.length;
    if (answeredBytes === ANSWER_BYTES) criu.end();
  });
  criu.on('end', () => criu.end());
  criu.write(dump);
  await relayDump(relayed, plane, { token: Buffer.from(token, 'hex') });
  if (answeredBytes < ANSWER_BYTES) throw new Error('CRIU: the page server hung up');
}
