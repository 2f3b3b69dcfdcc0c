/** A Node server with a heap full of records, asked for a digest over a few thousand of them. */
import { createHash } from 'node:crypto';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { createRecordMaker, recordCount, walk } from '../images/node-server/records.mjs';
import { getJson } from './http-json.ts';
import type { Endpoint, VerifiedResponse, WarmUpFacts, Workload } from './workload.ts';
import { READY_ATTEMPT_MS, READY_INTERVAL_MS, WARM_UP_DEADLINE_MS } from './workload.ts';

const WALK_COUNT = 2000;
/** Enough for V8 to have compiled what it will compile. */
const WARM_ROUND_COUNT = 20;
/** Prime: rounds begin their walk elsewhere. */
const ROUND_STEP = 331;

export const nodeWorkload: Workload = {
  name: 'node',
  image: 'node',
  containerPort: 8080,
  defaultSize: { dataMiB: 160 },
  smallSize: { dataMiB: 16 },
  containerEnv: (size) => [`HEAP_MIB=${size.dataMiB}`],

  async waitReady(endpoint, deadlineMs) {
    const endMs = performance.now() + deadlineMs;
    const check = async () => {
      const attemptMs = Math.max(1, Math.min(READY_ATTEMPT_MS, endMs - performance.now()));
      const { status } = await getJson(endpoint, '/healthz', Math.ceil(attemptMs));
      return status === 200 ? true : undefined;
    };
    const what = `wait until node at ${endpoint.host}:${endpoint.port} is ready`;
    await pollUntil(check, { timeoutMs: deadlineMs, intervalMs: READY_INTERVAL_MS, what });
  },

  async warmUp(endpoint, size, options = {}) {
    const { deadlineMs = WARM_UP_DEADLINE_MS, onProgress = () => {} } = options;
    const total = recordCount(size.dataMiB);
    const { body } = await getJson(endpoint, '/healthz', deadlineMs);
    if (body.total !== total) {
      throw new OffloadError(
        'invalid_state',
        `warm up node at ${endpoint.host}:${endpoint.port}: it holds ${body.total} records, ${size.dataMiB} MiB are ${total}`,
      );
    }
    const facts: WarmUpFacts = {
      workload: 'node',
      recordCount: total,
      walkCount: Math.min(WALK_COUNT, total),
      sha256: '',
      allSha256: digestOf(Array.from({ length: total }, (_, index) => index)),
    };
    facts.sha256 = digestOf(walk(total, 0, facts.walkCount));
    await nodeWorkload.verifyAll(endpoint, facts, { deadlineMs });
    for (let round = WARM_ROUND_COUNT - 1; round >= 0; round -= 1) {
      await nodeWorkload.firstRequest(endpoint, facts, { deadlineMs, round });
      onProgress(1 - round / WARM_ROUND_COUNT);
    }
    return facts;
  },

  async firstRequest(endpoint, facts, { deadlineMs, round = 0 }) {
    const { recordCount: total, walkCount, sha256 } = nodeFacts(facts);
    const from = (round * ROUND_STEP) % total;
    const expected = round === 0 ? sha256 : digestOf(walk(total, from, walkCount));
    return await askDigest(endpoint, `/digest?from=${from}&count=${walkCount}`, expected, deadlineMs);
  },

  async verifyAll(endpoint, facts, { deadlineMs }) {
    return await askDigest(endpoint, '/digest/all', nodeFacts(facts).allSha256, deadlineMs);
  },
};

async function askDigest(
  endpoint: Endpoint,
  path: string,
  expected: string,
  deadlineMs: number,
): Promise<VerifiedResponse> {
  const startMs = performance.now();
  const { status, body, bodyBytes, connectMs, answeredAtMs } = await getJson(endpoint, path, deadlineMs);
  const subject = `verify node: GET ${path} at ${endpoint.host}:${endpoint.port}`;
  if (status !== 200) {
    throw new OffloadError(
      'runtime_failed',
      `${subject}: status ${status}, ${JSON.stringify(body).slice(0, 200)}`,
    );
  }
  if (body.sha256 !== expected) {
    throw new OffloadError(
      'corrupt_page',
      `${subject}: digest ${JSON.stringify(body.sha256)} should be ${expected}`,
    );
  }
  return {
    durationMs: answeredAtMs - startMs,
    verifiedAtMs: answeredAtMs,
    connectMs,
    responseBytes: bodyBytes,
  };
}

/** The same records, made here: the server is not believed even before the first checkpoint. */
function digestOf(indices: Iterable<number>): string {
  const makeRecord = createRecordMaker();
  const hash = createHash('sha256');
  for (const index of indices) hash.update(makeRecord(index), 'latin1');
  return hash.digest('hex');
}

function nodeFacts(facts: WarmUpFacts): Extract<WarmUpFacts, { workload: 'node' }> {
  if (facts.workload === 'node') return facts;
  throw new OffloadError('invalid_request', `request to node: the facts are of ${facts.workload}`);
}
