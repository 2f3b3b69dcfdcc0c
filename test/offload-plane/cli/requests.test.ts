import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { offload } from '../../helpers/offload-program.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { withPlane } from './answering-plane.ts';
import { CONTAINER, ENDED, RESTORE } from './views.ts';

test('filters of ps are asked of the plane, in Docker’s words too', async () => {
  const answers = { 'GET /v1/containers?limit=1000&phase=stopped&label=a%3D1&label=b': { items: [ENDED] } };
  await withPlane(answers, async (socket) => {
    const flags = ['-q', '-f', 'status=exited', '-f', 'label=a=1', '-f', 'label=b'];
    assert.is((await offload(['--socket', socket, 'ps', ...flags])).stdout, 'ba5eba11c0de');
    const unknown = await offload(['--socket', socket, 'ps', '-f', 'colour=red']);
    assert.match(unknown.stderr, /expected one of phase, status/);
  });
});

test('wait prints exit codes, and rename says nothing', async () => {
  const answers = {
    'POST /v1/containers/job/wait': { phase: 'stopped', exitCode: 3 },
    'POST /v1/containers/job/rename': ENDED,
  };
  await withPlane(answers, async (socket, asked) => {
    assert.is((await offload(['--socket', socket, 'wait', 'job'])).stdout, '3');
    assert.is((await offload(['--socket', socket, 'rename', 'job', 'done'])).stdout, '');
    assert.equal(asked.at(-1)?.body, { name: 'done' });
  });
});

test('run -d creates and starts and prints the id, restore asks for what its flags say', async () => {
  const answers = {
    'POST /v1/containers': CONTAINER,
    'POST /v1/containers/c0ffee00c0de/start': CONTAINER,
    'POST /v1/restores': RESTORE,
  };
  await withPlane(answers, async (socket, asked) => {
    const at = ['--socket', socket];
    const flags = ['-d', '--name', 'web', '-p', '6379', '-p', '8080:80', '-e', 'A=1', '--tenant', 'team-a'];
    const limits = ['-m', '64m', '--cpus', '1.5', '--restart', 'on-failure:3', '--health-tcp', '6379'];
    const run = await offload([...at, 'run', ...flags, ...limits, 'redis', 'redis-server', '-p', '1']);
    assert.is(run.stdout, CONTAINER.id, run.stderr);
    const restore = ['--name', 'again', '--guest', 'guest-b', '--policy', 'ordered', '--hold'];
    assert.is((await offload([...at, 'restore', 'warm', ...restore])).exitCode, 0);
    assert.equal(asked, [
      {
        line: 'POST /v1/containers',
        body: {
          ...{ image: 'redis', name: 'web', tenant: 'team-a', command: ['redis-server', '-p', '1'] },
          env: ['A=1'],
          ports: [
            { containerPort: 6379, hostPort: 0 },
            { containerPort: 80, hostPort: 8080 },
          ],
          ...{ memoryLimitMiB: 64, cpuLimitMillicores: 1_500 },
          restart: { name: 'on-failure', maxRetries: 3 },
          healthCheck: { tcp: { port: 6379 } },
        },
      },
      { line: 'POST /v1/containers/c0ffee00c0de/start', body: undefined },
      {
        line: 'POST /v1/restores',
        body: { checkpoint: 'warm', name: 'again', guest: 'guest-b', policy: 'ordered', hold: true },
      },
    ]);
  });
});

test('run -d --rm leaves it to the plane to delete it, and create --rm as well', async () => {
  const answers = {
    'POST /v1/containers': CONTAINER,
    'POST /v1/containers/c0ffee00c0de/start': CONTAINER,
  };
  await withPlane(answers, async (socket, asked) => {
    const [run, create] = [
      await offload(['--socket', socket, 'run', '-d', '--rm', 'redis']),
      await offload(['--socket', socket, 'create', '--rm', 'redis']),
    ];
    assert.equal([run.stdout, create.stdout], [CONTAINER.id, CONTAINER.id]);
    const bodies = asked.filter(({ line }) => line === 'POST /v1/containers').map(({ body }) => body);
    assert.equal(bodies, Array(2).fill({ image: 'redis', autoRemove: true }));
  });
});

test('run --template asks for a start from it', async () => {
  await withPlane({ 'POST /v1/templates/web/run': CONTAINER }, async (socket, asked) => {
    const flags = ['run', '-d', '--rm', '--template', 'web', '--guest', 'guest-b', '-p', '8080:80'];
    const { stdout, stderr } = await offload(['--socket', socket, ...flags]);
    assert.is(stdout, CONTAINER.id, stderr);
    const ports = [{ containerPort: 80, hostPort: 8080 }];
    assert.equal(asked[0]?.body, { guest: 'guest-b', ports, autoRemove: true });
  });
});

test('container prune deletes what has ended, and load sends a tar with its length', async () => {
  const answers = {
    'GET /v1/containers?limit=1000&phase=stopped': { items: [ENDED] },
    [`DELETE /v1/containers/${ENDED.id}`]: '',
    'POST /v1/images/load?name=web': { name: 'web:latest', digest: 'sha256:1' },
  };
  await withPlane(answers, async (socket, asked) => {
    const at = ['--socket', socket];
    assert.is((await offload([...at, 'container', 'prune'])).stdout, 'job');
    assert.is(asked.at(-1)?.line, `DELETE /v1/containers/${ENDED.id}`);
    const file = join(tempDirectory('load'), 'web.tar');
    writeFileSync(file, '{"a": "tar"}');
    const { stdout, stderr } = await offload([...at, 'load', '-i', file, '--name', 'web']);
    assert.is(stdout, 'web:latest sha256:1', stderr);
    assert.equal(asked.at(-1)?.body, { a: 'tar' });
    const none = await offload([...at, 'load', '-i', '/nowhere.tar']);
    assert.match(none.stderr, /^offload: read \/nowhere.tar: there is no such file/);
  });
});

test.run();
