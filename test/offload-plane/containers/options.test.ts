import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type RunOptions, specOptionsOf } from '../../../offload-plane/containers/options.ts';

const IMAGE = {
  ...{ command: ['/entry', 'serve'], entrypoint: ['/entry'], env: [], workingDir: '/srv', user: '101:101' },
  exposedPorts: [],
};
const specOf = (request: RunOptions & { command?: string[] }, image = IMAGE) =>
  specOptionsOf(request, image, 'create container web');

test('what nobody asks for is as the image says, with Docker’s profile and capabilities', () => {
  const { command, workingDir, user, seccomp, capabilities, ...rest } = specOf({});
  assert.equal(
    { command, workingDir, user },
    { command: IMAGE.command, workingDir: '/srv', user: '101:101' },
  );
  assert.is(seccomp, 'default');
  assert.is(capabilities?.length, 11);
  assert.equal(rest, {});
  assert.is(specOf({}, { ...IMAGE, workingDir: '' }).workingDir, '/');
});

test('a command goes behind the entrypoint, an entrypoint of its own drops the image’s command', () => {
  assert.equal(specOf({ command: ['sh'] }).command, ['/entry', 'sh']);
  assert.equal(specOf({ command: ['-c', 'x'], entrypoint: ['/bin/sh'] }).command, ['/bin/sh', '-c', 'x']);
  assert.equal(specOf({ entrypoint: ['/bin/sh'] }).command, ['/bin/sh']);
  assert.equal(specOf({ command: ['/bin/sh'], entrypoint: [] }).command, ['/bin/sh']);
  assert.throws(() => specOf({}, { ...IMAGE, command: [] }), /the image has no command/);
});

test('limits, mounts and streams reach the agent in its words', () => {
  const tmpfs = [{ destination: '/tmp', sizeBytes: 65_536 }];
  const spec = specOf({
    ...{ memoryLimitMiB: 64, cpuLimitMillicores: 1_500, pidLimit: 32, readonlyRootfs: true, tmpfs },
    ...{ terminal: true, openStdin: true, seccomp: 'unconfined', workingDir: '/' },
  });
  assert.is(spec.memoryLimitBytes, 64 * 1024 * 1024);
  assert.is(spec.cpuLimitMillicores, 1_500);
  assert.is(spec.pidLimit, 32);
  assert.is(spec.readonlyRootfs, true);
  assert.equal(spec.tmpfs, tmpfs);
  assert.is(spec.terminal, true);
  assert.is(spec.openStdin, true);
  assert.is(spec.seccomp, 'unconfined');
});

test("a user is the image's, or whom the request names, for the guest to look up", () => {
  assert.is(specOf({}).user, '101:101');
  for (const user of ['1000', '1000:100', 'redis', 'redis:logs']) assert.is(specOf({ user }).user, user);
});

test.run();
