import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RunProgram } from '../../../guest-agent/run-program.ts';
import { createCrun } from '../../../guest-agent/runtime/crun.ts';

const GLOBAL = ['--root', '/run/offload/crun', '--cgroup-manager', 'cgroupfs'];

function recorded() {
  const calls: { command: string; args: string[]; timeoutMs: number | undefined }[] = [];
  const run: RunProgram = async (command, args, options) => {
    calls.push({ command, args: [...args], timeoutMs: options?.timeoutMs });
    return '';
  };
  return { calls, crun: createCrun({ run, root: '/run/offload/crun' }) };
}

test('each verb has the global options before it and the container behind', async () => {
  const { calls, crun } = recorded();
  await crun.start('web');
  await crun.kill('web', 'SIGHUP');
  await crun.pause('web');
  await crun.resume('web');
  await crun.deleteForced('web');
  assert.ok(calls.every(({ command }) => command === '/usr/bin/crun'));
  assert.equal(
    calls.map(({ args }) => args),
    [
      [...GLOBAL, 'start', 'web'],
      [...GLOBAL, 'kill', 'web', 'SIGHUP'],
      [...GLOBAL, 'pause', 'web'],
      [...GLOBAL, 'resume', 'web'],
      [...GLOBAL, 'delete', '--force', 'web'],
    ],
  );
});

test('a checkpoint leaves the container running, keeps file locks, and has its own deadline', async () => {
  const { calls, crun } = recorded();
  await crun.checkpoint('web', { images: '/i', work: '/w', timeoutMs: 77 });
  assert.equal(calls, [
    {
      command: '/usr/bin/crun',
      args: [
        ...GLOBAL,
        'checkpoint',
        '--leave-running',
        '--file-locks',
        '--image-path=/i',
        '--work-path=/w',
        'web',
      ],
      timeoutMs: 77,
    },
  ]);
});

test('a pre-dump takes memory only', async () => {
  const { calls, crun } = recorded();
  await crun.preDump('web', { images: '/i', work: '/w', timeoutMs: 77 });
  const args = [...GLOBAL, 'checkpoint', '--pre-dump', '--image-path=/i', '--work-path=/w', 'web'];
  assert.equal(calls, [{ command: '/usr/bin/crun', args, timeoutMs: 77 }]);
});

test.run();
