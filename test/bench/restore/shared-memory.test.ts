/** Memory that several processes share comes back under every policy: PostgreSQL answers from its buffers alone. */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { REAL_PROGRAMS } from '../../../bench/restore/real-programs.ts';
import { RECORDING } from '../../../bench/restore/sections.ts';
import { openSite } from '../../../bench/restore/site.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { MIB } from '../../../platform/units.ts';
import { criuMissing } from '../../../testbed/native/criu-world.ts';
import { restoreOnce } from '../../../testbed/native/restore.ts';
import type { NativeWorkload } from '../../../testbed/native/workload.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const TITLE = 'PostgreSQL answers from shared memory alone under every policy';
const DATA_MIB = 8;

async function answersWithoutFiles(workload: NativeWorkload): Promise<void> {
  const site = await openSite({ deviceDirectory: tempDirectory('shared-memory') });
  try {
    const { made } = await site.checkpoint(workload);
    assert.ok(blankTables(made.state!) >= DATA_MIB * MIB);
    await restoreOnce(made, RECORDING, site.access);
    for (const policy of ['eager', 'lazy', 'ordered', 'prefill'] as const) {
      const { session } = await restoreOnce(made, { kind: 'ours', policy }, site.access);
      assert.is(session!.effectivePolicy, policy);
      assert.ok(session!.memoryVerified);
    }
  } finally {
    await site.close();
  }
}

/** Of the table's file only its length stays, which CRIU checks. Answers how many bytes are gone. */
function blankTables(state: string): number {
  const databases = join(state, 'data/base');
  let byteCount = 0;
  for (const name of readdirSync(databases, { recursive: true, encoding: 'utf8' })) {
    const path = join(databases, name);
    const { size } = statSync(path);
    if (!statSync(path).isFile() || size < (DATA_MIB * MIB) / 2) continue;
    writeFileSync(path, Buffer.alloc(size), { flag: 'r+' });
    byteCount += size;
  }
  return byteCount;
}

const absent = (error: unknown) => {
  if (error instanceof OffloadError && error.code === 'not_found') return error.message;
  throw error;
};
const made = criuMissing === '' ? await REAL_PROGRAMS.postgres!(DATA_MIB).catch(absent) : criuMissing;
if (typeof made === 'string') console.log(`skipped: ${TITLE}: ${made}`);
else test(TITLE, () => answersWithoutFiles(made));

test.run();
