/** A Redis with hundreds of mebibytes of values, asked for a few of them. */
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { RedisConnection } from './redis-connection.ts';
import { getAndVerify, getAndVerifyAll, loadKeys, requestKeys } from './redis-requests.ts';
import { createRedisValues, type RedisValues } from './redis-values.ts';
import { encodeCommand } from './resp.ts';
import type { Endpoint, RequestOptions, VerifiedResponse, WarmUpFacts, Workload } from './workload.ts';
import { READY_ATTEMPT_MS, READY_INTERVAL_MS, WARM_UP_DEADLINE_MS } from './workload.ts';

/** With Redis's own header it fills an 8 KiB allocation; 8192 bytes would take one of 10 KiB. */
const VALUE_BYTES = 8128;
/** Requests of the warm-up, the last of which is the one asked after a restore. */
const WARM_ROUND_COUNT = 20;

export const redisWorkload: Workload = {
  name: 'redis',
  image: 'redis',
  containerPort: 6379,
  defaultSize: { dataMiB: 256 },
  smallSize: { dataMiB: 16 },
  containerEnv: () => [],

  async waitReady(endpoint, deadlineMs) {
    const endMs = performance.now() + deadlineMs;
    const ping = async () => {
      const attemptMs = Math.max(1, Math.min(READY_ATTEMPT_MS, endMs - performance.now()));
      const connection = new RedisConnection(endpoint, 'wait until ready', Math.ceil(attemptMs));
      try {
        const [reply] = await connection.send(encodeCommand('PING'), 1);
        // While it loads, the answer is an error.
        return reply?.kind === 'simple' ? true : undefined;
      } finally {
        await connection.close();
      }
    };
    const what = `wait until redis at ${endpoint.host}:${endpoint.port} is ready`;
    await pollUntil(ping, { timeoutMs: deadlineMs, intervalMs: READY_INTERVAL_MS, what });
  },

  async warmUp(endpoint, size, options = {}) {
    const { deadlineMs = WARM_UP_DEADLINE_MS, onProgress = () => {} } = options;
    const keyCount = Math.ceil((size.dataMiB * 1024 * 1024) / VALUE_BYTES);
    const values = createRedisValues(VALUE_BYTES);
    const connection = new RedisConnection(endpoint, 'warm up', deadlineMs);
    try {
      await loadKeys(connection, values, keyCount, onProgress);
      for (let round = WARM_ROUND_COUNT - 1; round >= 0; round -= 1) {
        await getAndVerify(connection, values, keyCount, requestKeys(keyCount, round));
      }
    } finally {
      await connection.close();
    }
    const facts: WarmUpFacts = { workload: 'redis', keyCount, valueBytes: VALUE_BYTES };
    // Accepting a connection is part of what is asked later.
    await redisWorkload.firstRequest(endpoint, facts, { deadlineMs });
    return facts;
  },

  async firstRequest(endpoint, facts, options) {
    const indices = requestKeys(redisFacts(facts).keyCount, options.round ?? 0);
    return await request(endpoint, facts, options, (connection, values, keyCount) =>
      getAndVerify(connection, values, keyCount, indices),
    );
  },

  async verifyAll(endpoint, facts, options) {
    return await request(endpoint, facts, options, getAndVerifyAll);
  },
};

async function request(
  endpoint: Endpoint,
  facts: WarmUpFacts,
  { deadlineMs }: RequestOptions,
  ask: (connection: RedisConnection, values: RedisValues, keyCount: number) => Promise<void>,
): Promise<VerifiedResponse> {
  const { keyCount, valueBytes } = redisFacts(facts);
  const values = createRedisValues(valueBytes);
  const startMs = performance.now();
  const connection = new RedisConnection(endpoint, 'request', deadlineMs);
  let connectMs = 0;
  connection.connected.then(() => {
    connectMs = performance.now() - startMs;
  });
  try {
    await ask(connection, values, keyCount);
    const verifiedAtMs = performance.now();
    return {
      durationMs: verifiedAtMs - startMs,
      verifiedAtMs,
      connectMs,
      responseBytes: connection.receivedBytes,
    };
  } finally {
    await connection.close();
  }
}

function redisFacts(facts: WarmUpFacts): Extract<WarmUpFacts, { workload: 'redis' }> {
  if (facts.workload === 'redis') return facts;
  throw new OffloadError('invalid_request', `request to redis: the facts are of ${facts.workload}`);
}
