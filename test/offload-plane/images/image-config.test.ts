import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runConfig } from '../../../offload-plane/images/image-config.ts';
import type { ImageConfig } from '../../../offload-plane/images/oci-schema.ts';

const ofConfig = (config: NonNullable<ImageConfig['config']>) =>
  runConfig({ architecture: 'amd64', os: 'linux', config, rootfs: { type: 'layers', diff_ids: [] } }, '0:0');

test('an image that says nothing gives a configuration that says nothing', () => {
  const nothing = { command: [], env: [], workingDir: '/', user: '0:0', exposedPorts: [] };
  assert.equal(ofConfig({}), nothing);
  assert.equal(ofConfig({ Labels: null, StopSignal: '', Healthcheck: null, Entrypoint: null }), nothing);
});

test('the entrypoint is told apart from the command it begins', () => {
  const { command, entrypoint } = ofConfig({ Entrypoint: ['/bin/server'], Cmd: ['--fast'] });
  assert.equal(command, ['/bin/server', '--fast']);
  assert.equal(entrypoint, ['/bin/server']);
});

test('a stop signal is a name, with SIG or without, or a number; what Linux does not know is left out', () => {
  assert.is(ofConfig({ StopSignal: 'SIGQUIT' }).stopSignal, 'SIGQUIT');
  assert.is(ofConfig({ StopSignal: 'usr1' }).stopSignal, 'SIGUSR1');
  assert.is(ofConfig({ StopSignal: 'SIGRTMIN+3' }).stopSignal, 'SIGRTMIN+3');
  assert.is(ofConfig({ StopSignal: '3' }).stopSignal, 'SIGQUIT');
  assert.is(ofConfig({ StopSignal: '37' }).stopSignal, 'SIGRTMIN+3');
  for (const StopSignal of ['; rm', '0', '65', '1e1', 'SIGFOO', 'SIGRTMIN+31']) {
    assert.is(ofConfig({ StopSignal }).stopSignal, undefined, StopSignal);
  }
});

test('a health check is a command with times in milliseconds', () => {
  const Healthcheck = {
    Test: ['CMD', '/bin/check', '-x'],
    Interval: 30_000_000_000,
    Timeout: 1,
    StartPeriod: 0,
    Retries: 3,
  };
  assert.equal(ofConfig({ Healthcheck }).healthcheck, {
    command: ['/bin/check', '-x'],
    intervalMs: 30_000,
    timeoutMs: 1,
    retries: 3,
  });
  assert.equal(ofConfig({ Healthcheck: { Test: ['CMD-SHELL', 'curl -f localhost'] } }).healthcheck, {
    command: ['/bin/sh', '-c', 'curl -f localhost'],
  });
  for (const Test of [[], ['NONE'], ['CMD'], ['OTHER', 'x']]) {
    assert.is(ofConfig({ Healthcheck: { Test } }).healthcheck, undefined);
  }
});

test.run();
