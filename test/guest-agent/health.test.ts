import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readStats } from '../../guest-agent/stats.ts';
import { ContainerStats, Health } from '../../interconnect/agent-api.ts';
import { createAgentWorld, makeCgroup } from '../helpers/agent-world.ts';

/** No link of this machine is named by it. */
const ADDRESS = '10.88.254.253/16';

test('health has the versions of what runs containers, and figures that fit its schema', async () => {
  const world = await createAgentWorld('health');
  const health = await world.agent.health();
  assert.ok(Value.Check(Health, health));
  assert.is(health.crun, '1.28');
  assert.is(health.conmon, '2.1.12');
  assert.is(health.pager, '0.1.0');
  assert.ok(health.workMs > 0);
  assert.is(typeof health.tracksChanges, 'boolean');
  await world.restart();
  const next = await world.agent.health();
  assert.is(next.instanceId, health.instanceId);
  assert.is.not(next.startId, health.startId);
});

const NOTHING = {
  memoryBytes: 0,
  memoryPeakBytes: 0,
  memoryAnonymousBytes: 0,
  oomKillCount: 0,
  cpuUsageUs: 0,
  cpuUserUs: 0,
  cpuSystemUs: 0,
  cpuThrottledUs: 0,
  pidCount: 0,
  ioReadBytes: 0,
  ioWriteBytes: 0,
  ioReadCount: 0,
  ioWriteCount: 0,
  networkReceivedBytes: 0,
  networkSentBytes: 0,
};

test("a container's figures are its cgroup's, all devices together; what the kernel lacks is 0", async () => {
  const world = await createAgentWorld('stats');
  const cgroup = makeCgroup(world, 'web');
  assert.equal(await readStats(cgroup, ADDRESS), NOTHING);
  const files = {
    'memory.current': '4096\n',
    'memory.peak': '8192\n',
    'memory.max': '16384\n',
    'memory.stat': 'anon 2048\nfile 1024\nkernel 512\nshmem 1024\nanon_thp 64\n',
    'memory.events': 'low 0\noom 3\noom_kill 2\noom_group_kill 0\n',
    'pids.current': '3\n',
    'pids.max': 'max\n',
    'cpu.stat': 'usage_usec 1234\nuser_usec 1000\nsystem_usec 234\nthrottled_usec 7\n',
    'io.stat': '8:0 rbytes=10 wbytes=1 rios=1 wios=4\n8:16 rbytes=5 wbytes=2 rios=1 wios=0\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cgroup, name), text);
  const stats = await readStats(cgroup, ADDRESS);
  assert.ok(Value.Check(ContainerStats, stats));
  assert.equal(stats, {
    ...NOTHING,
    memoryBytes: 4096,
    memoryPeakBytes: 8192,
    memoryLimitBytes: 16_384,
    memoryAnonymousBytes: 3072,
    oomKillCount: 2,
    cpuUsageUs: 1234,
    cpuUserUs: 1000,
    cpuSystemUs: 234,
    cpuThrottledUs: 7,
    pidCount: 3,
    ioReadBytes: 15,
    ioWriteBytes: 3,
    ioReadCount: 2,
    ioWriteCount: 4,
  });
});

test('pressure is told where the kernel keeps account of it', async () => {
  const world = await createAgentWorld('stats');
  const cgroup = makeCgroup(world, 'web');
  const line = (kind: string, total: number) => `${kind} avg10=1.50 avg60=0.25 avg300=0.00 total=${total}\n`;
  for (const [index, kind] of ['cpu', 'memory', 'io'].entries()) {
    writeFileSync(join(cgroup, `${kind}.pressure`), line('some', index + 1) + line('full', index));
  }
  const stats = await readStats(cgroup, ADDRESS);
  assert.ok(Value.Check(ContainerStats, stats));
  assert.equal(stats.pressure?.memory, {
    some: { avg10: 1.5, avg60: 0.25, avg300: 0, totalUs: 2 },
    full: { avg10: 1.5, avg60: 0.25, avg300: 0, totalUs: 1 },
  });
});

test.run();
