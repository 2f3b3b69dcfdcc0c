import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readDumpTimes } from '../../../guest-agent/runtime/criu-stats.ts';
import { STATS } from '../../helpers/criu-dump.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const statsOf = (bytes: Buffer): string => {
  const directory = tempDirectory('criu-stats');
  writeFileSync(join(directory, 'stats-dump'), bytes);
  return directory;
};

test('a container stood still from the first task that was stopped to the last that was let go', async () => {
  const times = await readDumpTimes(statsOf(STATS));
  assert.is(times!.freezingMs + times!.frozenMs, 301.5);
});

test('statistics that are missing, cut short or of something else say nothing', async () => {
  assert.is(await readDumpTimes(tempDirectory('no-stats')), undefined);
  for (let length = 0; length < 16; length++) {
    assert.is(await readDumpTimes(statsOf(STATS.subarray(0, length))), undefined, `${length} bytes`);
  }
  assert.is(await readDumpTimes(statsOf(Buffer.alloc(64, 0xff))), undefined);
});

test.run();
