import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { execProcess } from '../../../guest-agent/stdio/exec-process.ts';

const container = {
  user: { uid: 0, gid: 0 },
  env: ['PATH=/bin', 'MODE=production'],
  cwd: '/srv',
  args: ['server'],
  capabilities: { bounding: ['CAP_CHOWN'] },
  noNewPrivileges: true,
  terminal: true,
  consoleSize: { width: 1, height: 1 },
};
const spec = { command: ['sh'], terminal: false, openStdin: false, env: [] };

test("an exec is the container's process, restrictions and all, with a command of its own", () => {
  assert.equal(execProcess(container, spec, container.user), {
    user: { uid: 0, gid: 0 },
    env: ['PATH=/bin', 'MODE=production'],
    cwd: '/srv',
    args: ['sh'],
    capabilities: { bounding: ['CAP_CHOWN'] },
    noNewPrivileges: true,
    terminal: false,
  });
});

test('variables, directory, user and the size of the terminal are what was asked for', () => {
  const wanted = { ...spec, terminal: true, env: ['MODE=debug'], workingDir: '/tmp', columns: 120, rows: 40 };
  const process = execProcess(container, wanted, { uid: 5, gid: 6 }) as Record<string, unknown>;
  assert.equal(process.env, ['PATH=/bin', 'MODE=debug', 'TERM=xterm']);
  assert.is(process.cwd, '/tmp');
  assert.equal(process.user, { uid: 5, gid: 6 });
  assert.equal(process.consoleSize, { width: 120, height: 40 });
});

test.run();
