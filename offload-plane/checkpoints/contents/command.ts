/** A process's command line: where /proc/PID/cmdline would read it, in its own memory. */
import type { MmEntry } from '../../criu-images/messages.ts';
import type { Message } from '../../criu-images/wire.ts';
import type { CheckpointReader } from '../../page-store/contract.ts';
import { PAGE_BYTES } from '../../page-store/limits.ts';
import { MAX_COMMAND_BYTES } from './limits.ts';

const PAGE_MASK = BigInt(PAGE_BYTES - 1);

/** undefined when it is nowhere, not in the checkpoint, or longer than a person would read. */
export async function readCommand(
  reader: CheckpointReader,
  pid: number,
  { argumentsStart, argumentsEnd }: Message<typeof MmEntry>,
): Promise<string[] | undefined> {
  const byteCount = argumentsEnd - argumentsStart;
  if (byteCount <= 0n || byteCount > BigInt(MAX_COMMAND_BYTES)) return undefined;
  const first = argumentsStart & ~PAGE_MASK;
  const pageCount = Number((argumentsEnd - first + PAGE_MASK) / BigInt(PAGE_BYTES));
  const target = { kind: 'task', id: pid } as const;
  for (let page = 0; page < pageCount; page += 1) {
    if (reader.isZero(target, first + BigInt(page * PAGE_BYTES)) === undefined) return undefined;
  }
  const pages = await reader.readPages(target, first, pageCount);
  const start = Number(argumentsStart - first);
  let end = start + Number(byteCount);
  while (end > start && pages[end - 1] === 0) end -= 1;
  return pages.toString('utf8', start, end).split('\0');
}
