import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import * as assert from 'uvu/assert';
import { dialGuest } from '../../interconnect/transport.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { isProcessAlive, processStartTicks } from '../../platform/processes.ts';
import { QmpClient } from '../../platform/qmp.ts';
import type { Guest } from '../../testbed/qemu/guest.ts';
import { sweepStaleRuns } from '../../testbed/qemu/run-directory.ts';
import { suite } from '../helpers/suite.ts';

interface Booted {
  guests: Guest[];
  path: string;
  scratchPath: string;
  deadlineScale: number;
  /** Any erofs image will do for a disk. */
  diskPath: string;
  /** What their owner was told meanwhile. */
  progress: string[];
}

const test = suite<{ owner: ChildProcess; booted: Booted }>('guest boot');

test.before(async (context) => {
  const program = join(import.meta.dirname, 'guest-owner.ts');
  context.owner = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface(context.owner.stdout!);
  for await (const line of lines) {
    context.booted = JSON.parse(line) as Booted;
    return;
  }
  throw new Error('the owner of the guests ended before they were up');
});
test.after(({ owner }) => void owner.kill('SIGKILL'));

/** Runs a command in the guest by its shell agent. */
async function shell(guest: Guest, command: string, scale: number): Promise<string> {
  const socket = await dialGuest(guest.vsockPath, 1024, 30_000 * scale);
  socket.write(`${command}\nexit\n`);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text.trim();
}

test('two guests boot at the same time and know their own names', async ({ booted }) => {
  const names = await Promise.all(
    booted.guests.map((guest) => shell(guest, 'hostname', booted.deadlineScale)),
  );
  assert.equal(names, ['boot-a', 'boot-b']);
});

test('a guest whose emulated kernel stalls is booted once more', ({ booted }) => {
  const [origin, stalled] = booted.guests;
  if (stalled!.accelerator !== 'tcg') return;
  const told = booted.progress.filter((line) => line.includes('stalled'));
  assert.equal(told, ['start guest boot-b: its emulated kernel stalled before user space; booting it again']);
  assert.is(existsSync(origin!.vsockPath), true);
  assert.not(readFileSync(stalled!.serialLogPath, 'utf8').includes('stalls on CPU'));
});

test('a guest has the pinned crun and CRIU, and cgroup v2 with its controllers', async ({ booted }) => {
  const command =
    'crun --version; criu --version; cat /sys/fs/cgroup/cgroup.subtree_control; findmnt -no FSTYPE /run';
  const text = await shell(booted.guests[0]!, command, booted.deadlineScale);
  assert.match(text, /crun version 1\.28/);
  assert.match(text, /\+CRIU/);
  assert.match(text, /Version: 4\.2\.1/);
  for (const controller of ['cpu', 'memory', 'pids', 'io'])
    assert.match(text, new RegExp(`\\b${controller}\\b`));
  assert.match(text, /tmpfs$/);
});

test('a disk attached over QMP appears in the guest under its LUN and goes away again', async ({
  booted,
}) => {
  const guest = booted.guests[1]!;
  const timeoutMs = 30_000 * booted.deadlineScale;
  const qmp = await QmpClient.connect({ socketPath: guest.planeQmpPath, timeoutMs });
  const list = () => shell(guest, 'ls /sys/bus/scsi/devices/*:7/block 2>/dev/null', booted.deadlineScale);
  const file = { driver: 'file', filename: booted.diskPath, 'read-only': true };
  await qmp.execute('blockdev-add', { 'node-name': 'disk7', driver: 'raw', 'read-only': true, file });
  await qmp.execute('device_add', { driver: 'scsi-hd', id: 'scsi7', bus: 'scsi0.0', lun: 7, drive: 'disk7' });
  const isThere = async () => (/^sd[a-z]$/.test(await list()) ? true : undefined);
  await pollUntil(isThere, { timeoutMs, intervalMs: 20, what: 'disk appears' });
  const removed = qmp.waitForEvent(
    ({ event, data }) => event === 'DEVICE_DELETED' && data.device === 'scsi7',
    timeoutMs,
    'removal of scsi7',
  );
  await qmp.execute('device_del', { id: 'scsi7' });
  await removed;
  await qmp.execute('blockdev-del', { 'node-name': 'disk7' });
  // QEMU has asked nobody: the guest hears of it later.
  const isGone = async () => (await list()) === '' || undefined;
  await pollUntil(isGone, { timeoutMs, intervalMs: 20, what: 'disk disappears' });
  qmp.close();
});

/** Every live process of this machine that was told to use a file of that run. */
function processesOf(path: string): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => {
    try {
      return (
        processStartTicks(pid) !== undefined && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path)
      );
    } catch {
      return false;
    }
  });
}

test('kill -9 of their owner ends both guests, and the next start deletes their files', async (context) => {
  const { owner, booted } = context;
  assert.is(processesOf(booted.path).length, 4, 'two QEMU and two vsock daemons');
  const startTicks = processStartTicks(owner.pid!)!;
  owner.kill('SIGKILL');
  const isGone = () => {
    const isOwnerGone = !isProcessAlive(owner.pid!, startTicks);
    return (isOwnerGone && processesOf(booted.path).length === 0) || undefined;
  };
  await pollUntil(isGone, { timeoutMs: 60_000, intervalMs: 20, what: 'guests end' });
  await sweepStaleRuns({ scratchDirectory: dirname(booted.scratchPath) });
  assert.not(existsSync(booted.path));
  assert.not(existsSync(booted.scratchPath));
});

test.run();
