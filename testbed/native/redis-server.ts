/** Redis as a native workload: a data set of random values, some of which are asked for by key. */
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';
import { freePort } from '../scenarios/free-port.ts';
import { RedisConnection } from '../workloads/redis-connection.ts';
import { checkGets, encodeGets, loadKeys } from '../workloads/redis-requests.ts';
import { createRedisValues } from '../workloads/redis-values.ts';
import { encodeCommand, ReplyParser } from '../workloads/resp.ts';
import { DEBIAN_ENV, debianPrograms } from './debian-programs.ts';
import type { NativeWorkload } from './workload.ts';

/** With Redis's own header it fills an allocation of half a KiB less than a page. */
const VALUE_BYTES = 3_520;
const ASKED_COUNT = 1_000;
const WARM_ROUND_COUNT = 5;
const LOAD_TIMEOUT_MS = 60_000;
/** What is dumped is the data set, and it lies still. */
const OPTIONS = '--save "" --appendonly no --activedefrag no --io-threads 1 --protected-mode no';

export async function redisServer(dataMiB: number): Promise<NativeWorkload> {
  const debian = await debianPrograms('usr/bin/redis-server');
  const port = await freePort();
  const values = createRedisValues(VALUE_BYTES);
  const keyCount = Math.ceil((dataMiB * MIB) / VALUE_BYTES);
  const spacing = Math.max(1, Math.floor(keyCount / ASKED_COUNT));
  const asked = Array.from({ length: Math.min(ASKED_COUNT, keyCount) }, (_, step) => step * spacing);
  return {
    name: `redis-${dataMiB}`,
    programs: [],
    mounts: { debian },
    command: `${DEBIAN_ENV} /run/debian/usr/bin/redis-server --bind 127.0.0.1 --port ${port} ${OPTIONS}`,
    async load() {
      const connection = new RedisConnection({ host: '127.0.0.1', port }, 'load', LOAD_TIMEOUT_MS);
      try {
        await loadKeys(connection, values, keyCount, () => {});
      } finally {
        await connection.close();
      }
    },
    warmRoundCount: WARM_ROUND_COUNT,
    address: () => `tcp:${port}`,
    // QUIT: the client reads to the end of the stream.
    request: Buffer.concat([encodeGets(asked), encodeCommand('QUIT')]),
    verify(answer) {
      const replies = new ReplyParser().push(answer);
      if (replies.length !== asked.length + 2) {
        throw new OffloadError(
          'digest_mismatch',
          `redis: ${replies.length} replies, ${asked.length + 2} are due`,
        );
      }
      checkGets(replies.slice(0, -1), values, keyCount, asked);
    },
  };
}
