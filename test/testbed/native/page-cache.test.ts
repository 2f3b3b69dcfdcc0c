import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { evict, readIn, residentBytes } from '../../../testbed/native/page-cache.ts';
import { buildBenchPrograms } from '../../../testbed/native/programs.ts';
import { test } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

test.before(buildBenchPrograms);

test('files leave the page cache whole and come back whole', async () => {
  const directory = tempDirectory('page-cache');
  const bytes = 1 << 20;
  writeFileSync(join(directory, 'pages'), Buffer.alloc(bytes, 1));
  assert.is(await residentBytes(directory), bytes);
  await evict(directory);
  assert.is(await residentBytes(directory), 0);
  await readIn(directory);
  assert.is(await residentBytes(directory), bytes);
});

test.run();
