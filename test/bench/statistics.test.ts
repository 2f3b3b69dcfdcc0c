import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { statisticsOf } from '../../bench/statistics.ts';

test('every sample counts, the highest and the lowest too, and the order of taking is kept', async () => {
  const samples = Array.from({ length: 41 }, (_, i) => (i * 7) % 41);
  const statistics = await statisticsOf(samples);
  assert.equal(statistics.samples, samples);
  assert.is(statistics.count, 41);
  assert.is(statistics.min, 0);
  assert.is(statistics.p5, 2);
  assert.is(statistics.p50, 20);
  assert.is(statistics.p95, 38);
  assert.is(statistics.max, 40);
  assert.is(statistics.avg, 20);
});

test('one sample is its own median', async () => {
  const { min, p5, p50, p95, max } = await statisticsOf([3]);
  assert.equal([min, p5, p50, p95, max], [3, 3, 3, 3, 3]);
});

test.run();
