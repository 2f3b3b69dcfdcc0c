import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { offload } from '../../helpers/offload-program.ts';

const VERBS = [
  ...['demo', 'test', 'ps', 'run', 'kill', 'pause', 'resume', 'rm', 'logs', 'stats'],
  ...['checkpoints', 'checkpoint', 'pin', 'unpin', 'restore', 'restores', 'guests', 'images', 'import'],
  ...[
    'create',
    'start',
    'stop',
    'restart',
    'unpause',
    'wait',
    'rename',
    'inspect',
    'top',
    'port',
    'container',
  ],
  ...['exec', 'attach', 'cp', 'volume', 'pull', 'rmi', 'image', 'completion', 'agent-call', 'store'],
  ...['guest', 'events', 'operation', 'up', 'down', 'status', 'dashboard'],
];

test('--help lists every verb with what it does', async () => {
  const { exitCode, stdout } = await offload(['--help']);
  assert.is(exitCode, 0);
  for (const verb of VERBS) assert.match(stdout, new RegExp(`^  ${verb} .*\\w`, 'm'));
});

test('an unknown command, flag or value is named on stderr, with exit code 1', async () => {
  const cases = [
    [['fly'], /^offload: unknown command 'fly'; see offload --help$/],
    [['ps', '--every'], /^offload: unknown option '--every'; see offload ps --help$/],
    [
      ['restore', 'warm', '--name', 'a', '--guest', 'b', '--policy', 'fast'],
      /^offload: .*'fast' is invalid.*; see offload restore --help$/,
    ],
    [
      ['create', '--name', 'a', '--guest', 'b', '-p', '80:http', 'redis'],
      /^offload: .*\[hostPort:\]containerPort.*; see offload create --help$/,
    ],
    [['demo', '--vcpus', '0'], /^offload: .*expected a positive whole number; see offload demo --help$/],
  ] as const;
  const results = await Promise.all(cases.map(([args]) => offload([...args])));
  for (const [index, [, message]] of cases.entries()) {
    const { exitCode, stdout, stderr } = results[index]!;
    assert.is(exitCode, 1);
    assert.match(stderr, message);
    assert.is(stdout, '');
  }
});

test('a verb that was mistyped is answered with the one that was meant', async () => {
  const { exitCode, stderr } = await offload(['restor']);
  assert.is(exitCode, 1);
  assert.match(stderr, /unknown command 'restor'.*Did you mean restore/);
});

test.run();
