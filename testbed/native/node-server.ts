/** The demo's Node server as a native workload: V8's heap full of records, some of which a request walks. */
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { createRecordMaker, recordCount, walk } from '../images/node-server/records.mjs';
import { freePort } from '../scenarios/free-port.ts';
import { WITHOUT_IO_URING } from './programs.ts';
import type { NativeWorkload } from './workload.ts';

const SERVER = join(import.meta.dirname, '../images/node-server');
const WALK_COUNT = 2_000;
/** Enough for V8 to have compiled what it will compile. */
const WARM_ROUND_COUNT = 20;

export async function nodeServer(heapMiB: number): Promise<NativeWorkload> {
  const port = await freePort();
  const total = recordCount(heapMiB);
  const walkCount = Math.min(WALK_COUNT, total);
  const makeRecord = createRecordMaker();
  const hash = createHash('sha256');
  for (const index of walk(total, 0, walkCount)) hash.update(makeRecord(index), 'latin1');
  const expected = hash.digest('hex');
  return {
    name: `node-${heapMiB}`,
    programs: [WITHOUT_IO_URING],
    mounts: { node: dirname(realpathSync(process.execPath)), server: SERVER },
    command: `env HEAP_MIB=${heapMiB} PORT=${port} /run/test/bin/without-io-uring /run/node/node /run/server/server.mjs`,
    warmRoundCount: WARM_ROUND_COUNT,
    address: () => `tcp:${port}`,
    request: Buffer.from(
      `GET /digest?from=0&count=${walkCount} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    ),
    verify(answer) {
      if (answer.includes(`"sha256":"${expected}"`)) return;
      throw new OffloadError('digest_mismatch', `node server: ${answer.subarray(0, 200)}`);
    },
  };
}
