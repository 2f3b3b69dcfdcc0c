import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readStats } from '../../guest-agent/stats.ts';
import { ContainerStats, Health } from '../../interconnect/agent-api.ts';
import { createAgentWorld, makeCgroup } from '../helpers/agent-world.ts';

test('health has the versions of what runs containers, and figures that fit its schema', async () => {
  const { agent } = await createAgentWorld('health');
  const health = await agent.health();
  assert.ok(Value.Check(Health, health));
  assert.is(health.crun, '1.28');
  assert.is(health.conmon, '2.1.12');
  assert.is(health.pager, '0.1.0');
  assert.ok(health.workMs > 0);
  assert.is(typeof health.tracksChanges, 'boolean');
});

test("a container's figures are its cgroup's, all devices together; what the kernel lacks is 0", async () => {
  const world = await createAgentWorld('stats');
  const cgroup = makeCgroup(world, 'web');
  assert.equal(await readStats(cgroup), {
    memoryBytes: 0,
    memoryPeakBytes: 0,
    memoryAnonymousBytes: 0,
    cpuUsageUs: 0,
    pidCount: 0,
    ioReadBytes: 0,
    ioWriteBytes: 0,
  });
  const files = {
    'memory.current': '4096\n',
    'memory.peak': '8192\n',
    'memory.stat': 'anon 2048\nfile 1024\nkernel 512\nshmem 1024\nanon_thp 64\n',
    'pids.current': '3\n',
    'cpu.stat': 'usage_usec 1234\nuser_usec 1000\n',
    'io.stat': '8:0 rbytes=10 wbytes=1 rios=1\n8:16 rbytes=5 wbytes=2 rios=1\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cgroup, name), text);
  const stats = await readStats(cgroup);
  assert.ok(Value.Check(ContainerStats, stats));
  assert.equal(stats, {
    memoryBytes: 4096,
    memoryPeakBytes: 8192,
    memoryAnonymousBytes: 3072,
    cpuUsageUs: 1234,
    pidCount: 3,
    ioReadBytes: 15,
    ioWriteBytes: 3,
  });
});

test.run();
