import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addRunOptions, bodyOf, type RunFlags } from '../../../offload-plane/cli/run-options.ts';
import type { ContainerBody } from '../../../offload-plane/http-api/schemas/containers.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

/** The request that a command line makes. */
function bodyFor(args: string[], env: NodeJS.ProcessEnv = {}): ContainerBody {
  let body: ContainerBody | undefined;
  addRunOptions(new Command('run').argument('<image>').argument('[command...]').passThroughOptions())
    .exitOverride()
    .configureOutput({ writeErr() {} })
    .action((image: string, command: string[], flags: RunFlags) => {
      body = bodyOf(image, command, flags, env);
    })
    .parse(args, { from: 'user' });
  assert.ok(body);
  return body;
}

test('without flags nothing is asked for but the image', () => {
  assert.equal(bodyFor(['redis']), { image: 'redis' });
});

test('each flag of docker run reaches the request', () => {
  const cases: [string[], Partial<ContainerBody>][] = [
    [['-it'], { openStdin: true, terminal: true }],
    [['-w', '/srv', '-u', '1000:100'], { workingDir: '/srv', user: '1000:100' }],
    [['-m', '1g'], { memoryLimitMiB: 1_024 }],
    [['--cpus', '0.25', '--pids-limit', '32'], { cpuLimitMillicores: 250, pidLimit: 32 }],
    [['--read-only', '--hostname', 'box'], { readonlyRootfs: true, hostname: 'box' }],
    [
      ['--tmpfs', '/tmp', '--tmpfs', '/run:size=64k,mode=755'],
      { tmpfs: [{ destination: '/tmp' }, { destination: '/run', sizeBytes: 65_536, mode: 0o755 }] },
    ],
    [['-v', 'data:/var/lib:ro'], { volumes: [{ name: 'data', destination: '/var/lib', readOnly: true }] }],
    [['--cap-drop', 'ALL', '--cap-add', 'chown'], { capabilitiesDrop: ['ALL'], capabilitiesAdd: ['chown'] }],
    [['--security-opt', 'seccomp=unconfined'], { seccomp: 'unconfined' }],
    [['--restart', 'unless-stopped'], { restart: { name: 'unless-stopped' } }],
    [['--on-lost', 'restore'], { onLost: 'restore' }],
    [['--stop-signal', 'quit', '--stop-timeout', '3'], { stopSignal: 'SIGQUIT', stopGraceMs: 3_000 }],
    [['-l', 'a=1', '-l', 'b=x=y', '-l', 'c'], { labels: { a: '1', b: 'x=y', c: '' } }],
    [['--entrypoint', '/bin/sh'], { entrypoint: ['/bin/sh'] }],
    [['--entrypoint', ''], { entrypoint: [] }],
    [
      ['--health-cmd', 'redis-cli ping', '--health-interval', '1m30s', '--health-retries', '2'],
      {
        healthCheck: {
          exec: { command: ['/bin/sh', '-c', 'redis-cli ping'] },
          intervalMs: 90_000,
          retries: 2,
        },
      },
    ],
    [['--health-http', '8080/health'], { healthCheck: { http: { port: 8_080, path: '/health' } } }],
    [['--ready-tcp', '6379'], { readinessProbe: { tcp: { port: 6_379 } } }],
  ];
  for (const [flags, part] of cases) {
    assert.equal(bodyFor([...flags, 'redis']), { image: 'redis', ...part }, flags.join(' '));
  }
});

test('a port may say that it is TCP, and one that is not, or has an address, is refused with the reason', () => {
  assert.equal(bodyFor(['-p', '8080:80/tcp', 'redis']).ports, [{ containerPort: 80, hostPort: 8080 }]);
  assert.throws(() => bodyFor(['-p', '53:53/udp', 'redis']), /only TCP ports are published/);
  assert.throws(() => bodyFor(['-p', '127.0.0.1:8080:80', 'redis']), /--publish-address/);
});

test('a signal is given by name, in whatever letters, or by number', () => {
  for (const signal of ['int', 'SIGINT', '2']) {
    assert.is(bodyFor(['--stop-signal', signal, 'redis']).stopSignal, 'SIGINT');
  }
});

test('what stands behind the image is the command, flags and all', () => {
  assert.equal(bodyFor(['redis', 'ls', '-it', '--name', 'x']).command, ['ls', '-it', '--name', 'x']);
});

test('variables come from flags, files, and by name from here', () => {
  const file = join(tempDirectory('env'), 'env');
  writeFileSync(file, '# comment\n\nA=from file\nHERE\nNOWHERE\n');
  const { env } = bodyFor(['--env-file', file, '-e', 'B=2', '-e', 'HERE', 'redis'], { HERE: 'yes' });
  assert.equal(env, ['A=from file', 'HERE=yes', 'B=2', 'HERE=yes']);
});

test('a value that is none is refused before anything is asked', () => {
  for (const flags of [
    ['-m', 'lots'],
    ['--cpus', '-1'],
    ['--cpus', '0'],
    ['--tmpfs', 'tmp'],
    ['--tmpfs', '/tmp:noexec'],
    ['-v', '/host:/path'],
    ['--security-opt', 'apparmor=x'],
    ['--restart', 'always:3'],
    ['--on-lost', 'cry'],
    ['--stop-signal', '0'],
    ['--stop-signal', '200'],
    ['-l', '=x'],
    ['--health-interval', '30s'],
    ['--health-cmd', 'x', '--health-tcp', '1'],
    ['--health-tcp', '70000'],
    ['--health-http', 'localhost'],
    ['-p', 'http'],
    ['-p', '53:53/udp'],
    ['-p', '127.0.0.1:8080:80'],
  ]) {
    assert.throws(() => bodyFor([...flags, 'redis']), undefined, flags.join(' '));
  }
});

test.run();
