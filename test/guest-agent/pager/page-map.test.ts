import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { make } from '../../helpers/pager-program.ts';

test('the page map and the golden frames hold in C, under the address sanitizer as well', async () => {
  const output = await make('check');
  assert.is(output.match(/ 0 failed/g)?.length, 2, output);
});

test.run();
