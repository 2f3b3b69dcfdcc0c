import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { aimsOf, isMet, sumOf } from '../../../bench/guest-cost/aims.ts';
import { measureIdle, parseMemory } from '../../../bench/guest-cost/processes.ts';
import { statisticsOf } from '../../../bench/statistics.ts';

const MIB = 1024 * 1024;
const TEXT = `program node
Rss:              4096 kB
Pss:              3072 kB
Pss_Anon:         1024 kB
Anonymous:        2048 kB
AnonHugePages:       0 kB
program /usr/bin/conmon
Rss:              1024 kB
Pss:               512 kB
Anonymous:         128 kB
program gone
`;

test('figures of each process are read, and a process that ended meanwhile has none', () => {
  const memory = parseMemory('ours', TEXT);
  assert.equal(
    memory.map(({ program }) => program),
    ['node', 'conmon'],
  );
  assert.is(memory[0]!.proportionalBytes, 3 * MIB);
  assert.is(sumOf(memory, 'ours', 'anonymousBytes'), 2 * MIB + 128 * 1024);
  assert.is(sumOf(memory, 'containerd', 'residentBytes'), 0);
});

test('processor time is what was added in the window, each side by itself', async () => {
  const usages = [10, 0, 200, 15, 1, 900].map((us) => `usage_usec ${us}\n`);
  const answers = ['', '', usages.join('')];
  const idle = await measureIdle(async () => answers.shift()!, 1_000, 0);
  assert.equal(idle, [
    { side: 'ours', windowMs: 1_000, cpuUs: 5 },
    { side: 'node', windowMs: 1_000, cpuUs: 1 },
    { side: 'containerd', windowMs: 1_000, cpuUs: 700 },
  ]);
});

test('an aim is met by what is at most its bound, and an overhead is what is above crun', async () => {
  const at = (value: number) => statisticsOf([value]);
  const aims = aimsOf({
    memory: [
      ...parseMemory('ours', TEXT),
      { ...parseMemory('containerd', TEXT)[0]!, residentBytes: 25 * MIB },
    ],
    startMs: { crun: await at(100), 'by hand': await at(120), plane: await at(150), containerd: await at(1) },
    callMs: { echo: await at(1), inspect: await at(3.1), list: await at(1) },
  });
  assert.equal(
    aims.map(({ value }) => Number(value.toFixed(2))),
    [0.2, 1.06, 3.1, 0.5, 0.3],
  );
  assert.equal(aims.map(isMet), [true, false, false, false, true]);
});

test.run();
