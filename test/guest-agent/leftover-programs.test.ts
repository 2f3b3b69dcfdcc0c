import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  endNow,
  type LeftoverProgram,
  listPrograms,
  outlive,
  worksOn,
} from '../../guest-agent/leftover-programs.ts';
import { containerPaths, guestPaths } from '../../guest-agent/paths.ts';
import { isAlive, processNamed } from '../../guest-agent/process-name.ts';

const own = containerPaths(guestPaths, 'web');
const program = (name: string, ...args: string[]): LeftoverProgram => ({
  process: { pid: 2 ** 22, startTicks: 1 },
  name,
  args,
});

test('a program works on the container whose files it names, and on no other of a similar name', () => {
  for (const ours of [
    program('crun', '--root', '/run/offload/crun', 'start', 'web'),
    program('crun', 'checkpoint', `--image-path=${own.dumpImages}`, 'web'),
    program('conmon', '--bundle', own.bundle),
    program('offload-pager', '--work-dir', own.bundle, '--deadline-ms', '5'),
    program('mount', '-o', `lowerdir=/x,upperdir=${own.upper},workdir=${own.work}`),
  ]) {
    assert.ok(worksOn(ours, 'web', own), ours.args.join(' '));
  }
  for (const other of [
    program('crun', 'start', 'web-2'),
    program('conmon', '--bundle', `${own.bundle}-2`),
    program('offload-pager', '--work-dir', `${own.bundle}2`),
    program('sleep', 'web'),
  ]) {
    assert.not(worksOn(other, 'web', own), other.args.join(' '));
  }
});

test('programs are found with their names and arguments, and ended by their start time as well as their pid', async () => {
  const child = spawn('sleep', ['601.25'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const exited = once(child, 'exit');
  const found = (await listPrograms()).find(({ process: { pid } }) => pid === child.pid);
  assert.is(found?.name, 'sleep');
  assert.equal(found?.args, ['601.25']);
  const later = { ...found!, process: { pid: child.pid!, startTicks: 1 } };
  await endNow([later]);
  assert.ok(isAlive(found!.process));
  await outlive([found!], 50);
  assert.equal(await exited, [null, 'SIGKILL']);
  assert.is(processNamed(child.pid!), undefined);
});

test.run();
