import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { execProcess, resolveUser } from '../../../guest-agent/stdio/exec-process.ts';

const PASSWD = 'root:x:0:0::/root:/bin/sh\nweb:x:1000:33::/srv:/bin/sh\nbroken:x:-1:0::/:\n';
const GROUP = 'root:x:0:\nlogs:x:4:web\n';

test('a user is a number or a name, with the group it has or the one that is asked for', () => {
  const users: [string, { uid: number; gid: number }][] = [
    ['web', { uid: 1000, gid: 33 }],
    ['1000', { uid: 1000, gid: 33 }],
    ['web:logs', { uid: 1000, gid: 4 }],
    ['web:7', { uid: 1000, gid: 7 }],
    ['4242', { uid: 4242, gid: 0 }],
    ['4242:4243', { uid: 4242, gid: 4243 }],
  ];
  for (const [user, expected] of users) assert.equal(resolveUser(user, PASSWD, GROUP), expected, user);
});

test('a user or group that the container does not know is refused by name', () => {
  assert.throws(() => resolveUser('ghost', PASSWD, GROUP), /exec as ghost: the container has no such user/);
  assert.throws(() => resolveUser('web:ghosts', PASSWD, GROUP), /no such group/);
});

test("a number that is none, in the container's own files too, is refused", () => {
  assert.throws(() => resolveUser('broken', PASSWD, GROUP), /"-1" is no number of a user/);
  assert.throws(() => resolveUser('4294967295', PASSWD, GROUP), /no number of a user/);
});

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
