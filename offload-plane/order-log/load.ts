/** Takes a checkpoint's order log, or says why a restore has to do without. */
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { LoadedOrderLog, OrderEntry, OrderLog, OrderLogBytes } from './contract.ts';
import { decodeOrder, encodeOrder } from './format.ts';
import { PageSet } from './page-set.ts';
import { toRuns } from './runs.ts';

const PAGE_MASK = 0xfffn;

/** By the bytes, which a store that keeps a checkpoint open gives again. */
const known = new WeakMap<OrderLogBytes, LoadedOrderLog>();

export async function loadOrderLog(reader: CheckpointReader): Promise<LoadedOrderLog> {
  const bytes = await reader.readOrderLog();
  if (bytes === undefined) return { ignored: 'absent' };
  const loaded = known.get(bytes) ?? interpret(reader, bytes);
  known.set(bytes, loaded);
  return loaded;
}

/** The log, if there is a usable one; one that does not fit is counted. */
export async function askForOrderLog(
  reader: CheckpointReader,
  { metrics, logger }: { metrics: Pick<Metrics, 'orderLogIgnored'>; logger: Logger },
): Promise<OrderLog | undefined> {
  const loaded = await loadOrderLog(reader);
  if ('log' in loaded) return loaded.log;
  if (loaded.ignored !== 'absent') {
    metrics.orderLogIgnored(loaded.ignored);
    logger.warn({ checkpoint: reader.manifest.id, reason: loaded.ignored }, 'order log ignored');
  }
  return undefined;
}

function interpret(reader: CheckpointReader, bytes: OrderLogBytes): LoadedOrderLog {
  const decoded = decodeOrder(bytes);
  if (typeof decoded === 'string') return { ignored: decoded };
  if (decoded.digest !== reader.manifest.digest) return { ignored: 'foreign' };
  const log = toOrderLog(reader, decoded.entries);
  return log === undefined ? { ignored: 'foreign' } : { log };
}

/** undefined when an entry names a page the checkpoint does not have. */
export function toOrderLog(reader: CheckpointReader, entries: readonly OrderEntry[]): OrderLog | undefined {
  const workingSet = new PageSet();
  const firstTouches: OrderEntry[] = [];
  for (const entry of entries) {
    const target = { kind: 'task', id: entry.task } as const;
    if ((entry.vaddr & PAGE_MASK) !== 0n || reader.isZero(target, entry.vaddr) === undefined)
      return undefined;
    if (workingSet.add(entry.task, entry.vaddr)) firstTouches.push(entry);
  }
  return { digest: reader.manifest.digest, entries: firstTouches, runs: toRuns(firstTouches), workingSet };
}

/** Keeps entries as the checkpoint's order log, in place of an older one, and their pages beside it. */
export async function saveOrderLog(reader: CheckpointReader, entries: readonly OrderEntry[]): Promise<void> {
  await reader.writeOrderLog(encodeOrder(reader.manifest.digest, entries));
  // Only a copy: where there is no room for it, the pages are read from where they lie.
  await reader.writeWorkingSet(toRuns(entries)).catch(() => undefined);
}
