import { join } from 'node:path';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const SOURCES = join(import.meta.dirname, '../../../guest-agent/pager');

test('the page map and the golden frames hold in C, under the address sanitizer as well', async () => {
  const { stdout } = await execa('make', ['-s', '-C', SOURCES, 'check'], { timeout: 60_000 });
  assert.is(stdout.match(/ 0 failed/g)?.length, 2, stdout);
});

test.run();
