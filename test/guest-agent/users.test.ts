import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { findUser, type OciUser, resolveUser } from '../../guest-agent/users.ts';

const PASSWD = 'root:x:0:0::/root:/bin/sh\nweb:x:1000:33::/srv:/bin/sh\nbroken:x:-1:0::/:\n';
const GROUP = 'root:x:0:\nlogs:x:4:web\n';
const resolve = (user: string) => resolveUser(user, 'exec', PASSWD, GROUP);

test('a user is a number or a name, with the group it has or the one that is asked for', () => {
  const users: [string, OciUser][] = [
    ['web', { uid: 1000, gid: 33 }],
    ['1000', { uid: 1000, gid: 33 }],
    ['web:logs', { uid: 1000, gid: 4 }],
    ['web:7', { uid: 1000, gid: 7 }],
    ['4242', { uid: 4242, gid: 0 }],
    ['4242:4243', { uid: 4242, gid: 4243 }],
  ];
  for (const [user, expected] of users) assert.equal(resolve(user), expected, user);
});

test('root needs no entry in any file', () => {
  assert.equal(resolveUser('root:root', 'exec', '', ''), { uid: 0, gid: 0 });
});

test('two numbers are taken as they are, and no file is read', async () => {
  const read = () => Promise.reject(new Error('it was read'));
  assert.equal(await findUser('7:8', 'exec', read), { uid: 7, gid: 8 });
});

test('a user or group that the container does not know is refused by name', () => {
  assert.throws(() => resolve('ghost'), /exec as ghost: the container has no such user/);
  assert.throws(() => resolve('web:ghosts'), /no such group/);
});

test("a number that is none, in the container's own files too, is refused", () => {
  assert.throws(() => resolve('broken'), /"-1" is no number of a user/);
  assert.throws(() => resolve('4294967295'), /no number of a user/);
});

test.run();
