import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GOLDEN_DIRECTORY } from '../../helpers/golden.ts';
import { make, UNIT_TESTS } from '../../helpers/pager-program.ts';

test('the page map and the golden frames hold in C, under the address sanitizer as well', async () => {
  await make('unit');
  for (const program of UNIT_TESTS) {
    const { stdout } = await execa(program, [GOLDEN_DIRECTORY]);
    assert.match(stdout, / 0 failed$/m);
  }
});

test.run();
