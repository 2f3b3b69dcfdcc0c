import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { listProcesses } from '../../guest-agent/processes.ts';
import { ProcessList } from '../../interconnect/agent-api.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

/** Start times are in hundredths of a second, and so is what they are counted from. */
const TICKS_MS = 30;

/** A cgroup, as far as its list of tasks goes; `below` is one inside it. */
function cgroupOf(pids: (number | undefined)[], below: number[] = []): string {
  const cgroup = tempDirectory('processes');
  mkdirSync(join(cgroup, 'inner'));
  writeFileSync(join(cgroup, 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join(''));
  writeFileSync(join(cgroup, 'inner/cgroup.procs'), below.map((pid) => `${pid}\n`).join(''));
  return cgroup;
}

test('processes are told with parent, state, memory and command, those of inner cgroups as well', async () => {
  const beforeMs = performance.now();
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  await once(child, 'spawn');
  try {
    const uptimeMs = process.uptime() * 1_000;
    const list = await listProcesses(cgroupOf([process.pid], [child.pid!]));
    const sinceMs = performance.now() - beforeMs;
    assert.ok(Value.Check(ProcessList, list));
    assert.is(list.total, 2);
    const found = list.processes.find(({ guestPid }) => guestPid === child.pid);
    const parent = list.processes.find(({ guestPid }) => guestPid === process.pid);
    assert.is(found?.command, 'sleep 600');
    assert.is(found?.parentPid, parent?.pid);
    assert.is(found?.uid, process.getuid?.());
    assert.is(parent?.parentPid, 0);
    assert.ok(parent!.residentBytes > 1_000_000);
    assert.ok(parent!.threadCount > 1);
    assert.ok(parent!.cpuUs > 0);
    assert.ok(parent!.runtimeMs > uptimeMs - TICKS_MS, `${parent!.runtimeMs} ms, up for ${uptimeMs} ms`);
    assert.ok(found!.runtimeMs < sinceMs + TICKS_MS, `${found!.runtimeMs} ms of ${sinceMs} ms`);
  } finally {
    child.kill('SIGKILL');
  }
});

test('a process that has ended meanwhile is left out', async () => {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  const { processes, total } = await listProcesses(cgroupOf([child.pid]));
  assert.equal([processes, total], [[], 1]);
});

test('of arguments without end only the beginning is read', async () => {
  const proc = tempDirectory('proc');
  writeFileSync(join(proc, 'uptime'), '100.00 5.00\n');
  mkdirSync(join(proc, '7'));
  writeFileSync(join(proc, '7', 'stat'), `7 (big) S ${Array(19).fill('7').join(' ')} 5000 0 3 0\n`);
  writeFileSync(join(proc, '7', 'status'), 'Uid:\t33\t33\nNSpid:\t7\t1\n');
  writeFileSync(join(proc, '7', 'cmdline'), 'big\0argument\0');
  // Longer than any text can be, and nowhere on the disk.
  truncateSync(join(proc, '7', 'cmdline'), 2 ** 30);
  const { processes } = await listProcesses(cgroupOf([7]), proc);
  assert.is(processes[0]!.command, 'big argument');
});

test('the list is bounded and says how many there are', async () => {
  const proc = tempDirectory('proc');
  const pids = Array.from({ length: 1_200 }, (_, index) => 5_000 + index);
  writeFileSync(join(proc, 'uptime'), '100.00 5.00\n');
  for (const pid of pids) {
    mkdirSync(join(proc, String(pid)));
    const numbers = Array(19).fill('7').join(' ');
    writeFileSync(join(proc, String(pid), 'stat'), `${pid} (a (b) c) S ${numbers} 5000 0 3 0\n`);
    writeFileSync(join(proc, String(pid), 'status'), `Uid:\t33\t33\nNSpid:\t${pid}\t${pid - 4_999}\n`);
    writeFileSync(join(proc, String(pid), 'cmdline'), pid === 5_001 ? `x\0${'y'.repeat(5_000)}` : '');
  }
  const { processes, total } = await listProcesses(cgroupOf(pids), proc);
  assert.is(total, 1_200);
  assert.is(processes.length, 1_000);
  assert.equal(
    processes.slice(0, 2).map(({ pid, command }) => [pid, command.length > 100 ? command.length : command]),
    [
      [1, '[a (b) c]'],
      [2, 512],
    ],
  );
});

test('a container without tasks has none', async () => {
  assert.equal(await listProcesses('/sys/fs/cgroup/no/such/group'), { processes: [], total: 0 });
});

test.run();
