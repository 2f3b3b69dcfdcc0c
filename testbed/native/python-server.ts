/** A Python HTTP server as a native workload: a heap of objects, some of which a request walks by reference. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';
import { freePort } from '../scenarios/free-port.ts';
import { DEBIAN_ENV, debianPrograms } from './debian-programs.ts';
import type { NativeWorkload } from './workload.ts';

const SCRIPT = join(import.meta.dirname, 'programs/object-server.py');
/** As in the script. */
const TEXT_BYTES = 1024;
const STRIDE = 7919;
const WALK_COUNT = 2_000;
const WARM_ROUND_COUNT = 5;
const NO_BYTECODE_FILES = 'PYTHONDONTWRITEBYTECODE=1';

export async function pythonServer(dataMiB: number): Promise<NativeWorkload> {
  const debian = await debianPrograms('usr/bin/python3');
  const port = await freePort();
  const total = (dataMiB * MIB) / TEXT_BYTES;
  const walkCount = Math.min(WALK_COUNT, total);
  const expected = digestOfWalk(total, walkCount);
  return {
    name: `python-${dataMiB}`,
    programs: [SCRIPT],
    mounts: { debian },
    command: `${DEBIAN_ENV} PYTHONHOME=/run/debian/usr ${NO_BYTECODE_FILES} /run/debian/usr/bin/python3 /run/test/bin/object-server.py ${port} ${dataMiB}`,
    warmRoundCount: WARM_ROUND_COUNT,
    address: () => `tcp:${port}`,
    request: Buffer.from(`GET /digest?from=0&count=${walkCount} HTTP/1.0\r\n\r\n`),
    verify(answer) {
      if (answer.toString('latin1').endsWith(`\r\n\r\n${expected}`)) return;
      throw new OffloadError('digest_mismatch', `python server: ${answer.subarray(0, 200)}`);
    },
  };
}

function digestOfWalk(total: number, count: number): string {
  const digest = createHash('sha256');
  for (let step = 0; step < count; step++) {
    const number = (step * STRIDE) % total;
    const text = createHash('shake128', { outputLength: TEXT_BYTES / 2 }).update(String(number));
    digest.update(text.digest('hex'), 'latin1');
  }
  return digest.digest('hex');
}
