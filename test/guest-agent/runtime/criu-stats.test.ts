import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFrozenMs } from '../../../guest-agent/runtime/criu-stats.ts';
import { STATS } from '../../helpers/criu-dump.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const statsOf = (bytes: Buffer): string => {
  const directory = tempDirectory('criu-stats');
  writeFileSync(join(directory, 'stats-dump'), bytes);
  return directory;
};

test('a container stood still from the first task that was stopped to the last that was let go', async () => {
  assert.is(await readFrozenMs(statsOf(STATS)), 301.5);
});

test('statistics that are missing, cut short or of something else say nothing', async () => {
  assert.is(await readFrozenMs(tempDirectory('no-stats')), undefined);
  for (let length = 0; length < 16; length++) {
    assert.is(await readFrozenMs(statsOf(STATS.subarray(0, length))), undefined, `${length} bytes`);
  }
  assert.is(await readFrozenMs(statsOf(Buffer.alloc(64, 0xff))), undefined);
});

test.run();
