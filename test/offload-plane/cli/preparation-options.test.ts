import { Command } from 'commander';
import { Value } from 'typebox/value';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  addPreparationOptions,
  type PreparationFlags,
  parseProbe,
  parseWarmUp,
  parseWarmUpExec,
  preparationOf,
} from '../../../offload-plane/cli/preparation-options.ts';
import { ReadyProbe, WarmUpStep } from '../../../offload-plane/probes/probe.ts';

test('probes are read as they are typed, and fit the API', () => {
  const probes = {
    'tcp:6379': { tcp: { port: 6379 } },
    'http:8080/health?full=1': { http: { port: 8080, path: '/health?full=1' } },
    'http:8080': { http: { port: 8080, path: '/' } },
    'exec:redis-cli ping | grep PONG': { exec: { command: ['/bin/sh', '-c', 'redis-cli ping | grep PONG'] } },
  };
  for (const [text, probe] of Object.entries(probes)) {
    assert.equal(parseProbe(text), probe);
    assert.ok(Value.Check(ReadyProbe, probe));
  }
  for (const wrong of ['', 'tcp:', 'tcp:0', 'tcp:70000', 'tcp:1/x', 'udp:1', 'exec:', 'http:1/a b']) {
    assert.throws(() => parseProbe(wrong), /expected tcp:PORT/, wrong);
  }
});

test('warm-up requests and programs have a count, which is one unless said', () => {
  const steps = parseWarmUpExec('warm --all x3', parseWarmUp('POST 80/b x2', parseWarmUp('80/a')));
  assert.equal(steps, [
    { http: { port: 80, path: '/a' }, count: 1 },
    { http: { port: 80, path: '/b', method: 'POST' }, count: 2 },
    { exec: { command: ['/bin/sh', '-c', 'warm --all'] }, count: 3 },
  ]);
  for (const step of steps) assert.ok(Value.Check(WarmUpStep, step));
  for (const wrong of ['', 'GET /a', '80', 'PUT 80/a', '80/a x0', '80/a  x2', '0/a']) {
    assert.throws(() => parseWarmUp(wrong), /expected/, wrong);
  }
});

test('a command with these flags gives what the API takes', () => {
  const command = addPreparationOptions(new Command().exitOverride());
  command.parse(
    ['--after-ready', 'tcp:80', '--ready-timeout-s', '5', '--warm-up', '80/a x2', '--warm-up-exec', 'x'],
    { from: 'user' },
  );
  assert.equal(preparationOf(command.opts<PreparationFlags>()), {
    ready: { tcp: { port: 80 } },
    readyTimeoutMs: 5_000,
    warmUp: [
      { http: { port: 80, path: '/a' }, count: 2 },
      { exec: { command: ['/bin/sh', '-c', 'x'] }, count: 1 },
    ],
  });
  assert.equal(preparationOf({}), {});
});

test.run();
