/** The requests of the Redis workload, and what makes their answers right. */
import { OffloadError } from '../../platform/errors.ts';
import type { RedisConnection } from './redis-connection.ts';
import { keyOf, type RedisValues } from './redis-values.ts';
import { encodeCommand, type Reply } from './resp.ts';

/** Keys of one logical request, spread evenly over the data set. */
const REQUEST_KEY_COUNT = 20;
/** SETs sent together: a quarter of a MiB with values of 8 KiB. */
const LOAD_BATCH_COUNT = 32;
/** Batches that may be unanswered: what is in flight stays below 1 MiB. */
const LOAD_BATCHES_IN_FLIGHT = 3;
const VERIFY_BATCH_COUNT = 64;

/** Prime: rounds ask for other keys, not for the same ones in another order. */
const ROUND_STEP = 331;

export function requestKeys(keyCount: number, round: number): number[] {
  const count = Math.min(REQUEST_KEY_COUNT, keyCount);
  const spacing = Math.floor(keyCount / count);
  return Array.from({ length: count }, (_, step) => (step * spacing + round * ROUND_STEP) % keyCount);
}

export async function loadKeys(
  connection: RedisConnection,
  values: RedisValues,
  keyCount: number,
  onProgress: (doneRatio: number) => void,
): Promise<void> {
  const inFlight: Promise<void>[] = [];
  for (let from = 0; from < keyCount; from += LOAD_BATCH_COUNT) {
    const to = Math.min(keyCount, from + LOAD_BATCH_COUNT);
    const batch = connection.send(encodeSets(values, from, to), to - from).then((replies) => {
      const wrong = replies.find((reply) => reply.kind !== 'simple');
      if (wrong) throw new OffloadError('runtime_failed', `load redis: SET answered ${describe(wrong)}`);
      onProgress(to / keyCount);
    });
    // Handled where it is awaited; a failure in between must not count as unhandled.
    batch.catch(() => {});
    inFlight.push(batch);
    if (inFlight.length >= LOAD_BATCHES_IN_FLIGHT) await inFlight.shift();
  }
  await Promise.all(inFlight);
}

function encodeSets(values: RedisValues, from: number, to: number): Buffer {
  const parts: Buffer[] = [];
  for (let index = from; index < to; index += 1) {
    const value = Buffer.allocUnsafe(values.valueBytes);
    values.write(value, 0, index);
    parts.push(encodeCommand('SET', keyOf(index), value));
  }
  return Buffer.concat(parts);
}

/** GETs and a DBSIZE in one pipeline. */
export function encodeGets(indices: readonly number[]): Buffer {
  return Buffer.concat([
    ...indices.map((index) => encodeCommand('GET', keyOf(index))),
    encodeCommand('DBSIZE'),
  ]);
}

/** Every value is compared with what it must be. */
export async function getAndVerify(
  connection: RedisConnection,
  values: RedisValues,
  keyCount: number,
  indices: readonly number[],
): Promise<void> {
  const replies = await connection.send(encodeGets(indices), indices.length + 1);
  checkGets(replies, values, keyCount, indices);
}

/** @throws {OffloadError} corrupt_page, when the replies are not those that `encodeGets` of the keys deserves */
export function checkGets(
  replies: readonly Reply[],
  values: RedisValues,
  keyCount: number,
  indices: readonly number[],
): void {
  for (const [at, index] of indices.entries()) {
    const reply = replies[at];
    const value = reply?.kind === 'bulk' ? reply.value : undefined;
    if (!value) throw wrong(`GET ${keyOf(index)} answered ${describe(reply)}`);
    const differs = values.firstDifference(value, index);
    if (differs !== undefined)
      throw wrong(`value of ${keyOf(index)} (${value.length} bytes) is wrong from byte ${differs}`);
  }
  const size = replies.at(-1);
  if (size?.kind !== 'integer' || size.value !== keyCount) {
    throw wrong(`DBSIZE answered ${describe(size)}, loaded were ${keyCount} keys`);
  }
}

export async function getAndVerifyAll(
  connection: RedisConnection,
  values: RedisValues,
  keyCount: number,
): Promise<void> {
  for (let from = 0; from < keyCount; from += VERIFY_BATCH_COUNT) {
    const count = Math.min(VERIFY_BATCH_COUNT, keyCount - from);
    const indices = Array.from({ length: count }, (_, step) => from + step);
    await getAndVerify(connection, values, keyCount, indices);
  }
}

function wrong(cause: string): OffloadError {
  return new OffloadError('corrupt_page', `verify redis: ${cause}`);
}

function describe(reply: Reply | undefined): string {
  if (!reply) return 'nothing';
  if (reply.kind === 'integer') return String(reply.value);
  if (reply.kind === 'bulk') return reply.value ? `${reply.value.length} bytes` : 'no value';
  return JSON.stringify(reply.text.slice(0, 120));
}
