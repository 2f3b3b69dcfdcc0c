import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MICRO_TINY, microTable, runMicro } from '../../bench/micro.ts';

test('every stage runs on a tiny input and takes some time', async () => {
  const results = await runMicro(MICRO_TINY);
  for (const { name, p50NsPerItem } of results) assert.ok(p50NsPerItem > 0, name);
  assert.is(microTable(results).split('\n').length, results.length);
});

test.run();
