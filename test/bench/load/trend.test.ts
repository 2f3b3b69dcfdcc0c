import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { requestMix } from '../../../bench/load/requests.ts';
import { trendOf } from '../../../bench/load/trend.ts';

const sample = (atS: number, planeHeapBytes: number) => ({
  atS,
  planeHeapBytes,
  planeResidentBytes: 0,
  agentResidentBytes: 0,
  agentAnonymousBytes: 0,
});

const atRest = { before: sample(0, 900), after: sample(0, 1_200) };

test('what grows evenly has its growth a minute as slope', () => {
  const samples = [0, 10, 20, 30, 40, 50].map((atS) => sample(atS, 1_000 + atS * 3));
  const { bytesPerMinute, thirdsBytes, beforeBytes, afterBytes } = trendOf(samples, atRest, 'planeHeapBytes');
  assert.is(Math.round(bytesPerMinute), 180);
  assert.equal(thirdsBytes, [1_030, 1_090, 1_150]);
  assert.equal([beforeBytes, afterBytes], [900, 1_200]);
});

test('what goes up and down around the same value has hardly a slope', () => {
  const samples = [0, 10, 20, 30, 40].map((atS, i) => sample(atS, 1_000 + (i % 2 === 0 ? 5 : -5)));
  assert.is(Math.round(trendOf(samples, atRest, 'planeHeapBytes').bytesPerMinute), 0);
});

test('the mix has every kind in its share, and reaches every container', () => {
  const names = ['a', 'b', 'c'];
  const mix = requestMix(names, 7);
  assert.is(mix.length, 120);
  assert.is(mix.filter(({ path }) => path.endsWith('/stats')).length, 30);
  assert.is(mix.filter(({ method }) => method === 'POST').length, 3);
  assert.is(mix.filter(({ path }) => path === '/v1/events?since=7&follow=false').length, 15);
  for (const name of names)
    assert.ok(
      mix.some(({ path }) => path === `/v1/containers/${name}/stats`),
      name,
    );
});

test.run();
