import { join } from 'node:path';
import fastify from 'fastify';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { answerProblems } from '../../../offload-plane/http-api/problems.ts';
import type { App } from '../../../offload-plane/http-api/server.ts';
import type { Logger } from '../../../offload-plane/logger.ts';
import { type ErrorCode, OffloadError } from '../../../platform/errors.ts';
import { assertProblem, withApi } from '../../helpers/api-world.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const WEB = { name: 'web', guest: 'guest-a', image: 'redis' };

test('whoever asks for what is not there, is there already or cannot be now gets the status of it', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    await send('POST', '/v1/containers', WEB);
    for (const url of ['guests', 'images', 'containers', 'checkpoints', 'restores']) {
      assertProblem(await send('GET', `/v1/${url}/none`), 'not_found', 404);
    }
    assertProblem(await send('POST', '/v1/guests', machine.registration), 'already_exists', 409);
    assertProblem(await send('POST', '/v1/containers', WEB), 'already_exists', 409);
    const paused = await send('POST', '/v1/containers/web/pause');
    assertProblem(paused, 'invalid_state', 409);
    assert.is(paused.body.detail, 'pause container web: it is created, not running');
    assertProblem(await send('GET', '/v1/nothing'), 'not_found', 404);
    assertProblem(await send('PUT', '/v1/guests', {}), 'method_not_allowed', 405);
  });
});

test('a guest that is registered and cannot be reached is given up at the deadline', async () => {
  const vsockPath = join(tempDirectory('nobody'), 'vsock');
  await withApi(
    async ({ send, machine }) => {
      const unreachable = await send('POST', '/v1/guests', { ...machine.registration, vsockPath });
      assertProblem(unreachable, 'deadline_exceeded', 504);
      assert.equal((await send('GET', '/v1/guests')).body, { items: [] });
    },
    { guestConnectMs: 500 },
  );
});

test("a guest's failures keep their code: crun's, and a lost one's", async () => {
  const whenGuestsGo = { guestLostMs: 1_000 };
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    machine.world.fail('conmon', '{"data": -1, "message": "crun: no such file"}');
    const refused = await send('POST', '/v1/containers', WEB);
    assertProblem(refused, 'runtime_failed', 500);
    assert.is(refused.body.detail, 'crun create web: crun: no such file');
    machine.close();
    await until('the loss', async () => (await send('GET', '/v1/guests/guest-a')).body.phase === 'lost');
    assertProblem(await send('POST', '/v1/containers', WEB), 'guest_lost', 502);
    assert.match((await send('GET', '/metrics')).body, /^offload_guests\{phase="ready"\} 0$/m);
  }, whenGuestsGo);
});

test('a word that is none of those there are is answered with those', async () => {
  await withApi(async ({ send }) => {
    const phase = await send('GET', '/v1/containers?phase=asleep');
    assertProblem(phase, 'invalid_request', 400);
    assert.match(phase.body.detail, /querystring\/phase must be one of created, running, .*stopped, lost$/);
    const after = await send('POST', '/v1/checkpoints', { container: 'web', id: 'warm', after: 'sleep' });
    assert.match(after.body.detail, /body\/after must be one of stop, resume$/);
  });
});

test('every error code is answered with its status, and what is no error of ours as internal', async () => {
  await withApi(async ({ send, plane }) => {
    for (const [error, code, status] of [
      [new OffloadError('no_space', 'the store is full'), 'no_space', 507],
      [new OffloadError('digest_mismatch', 'manifest'), 'digest_mismatch', 422],
      [new OffloadError('unauthorized', 'no'), 'unauthorized', 401],
      [new OffloadError('incomplete_checkpoint', 'index'), 'incomplete_checkpoint', 409],
      [new OffloadError('page_protocol_violation', 'frame'), 'page_protocol_violation', 400],
      [new TypeError('x is not a function'), 'internal', 500],
    ] as const) {
      plane.checkpoints.list = () => Promise.reject(error);
      assertProblem(await send('GET', '/v1/checkpoints'), code, status);
    }
  });
});

test('only what is wrong with the plane itself is logged as an error; a refusal is not logged', async () => {
  const logged: string[] = [];
  const level = (name: string) => (_fields: object, message: string) => logged.push(`${name} ${message}`);
  const app = fastify() as unknown as App;
  answerProblems(app, { error: level('error'), warn: level('warn') } as unknown as Logger);
  app.get('/:code', ({ params }) => {
    const { code } = params as { code: ErrorCode };
    throw code === 'internal' ? new TypeError(code) : new OffloadError(code, code);
  });
  const warned = ['interrupted', 'deadline_exceeded', 'guest_lost', 'registry_failed', 'runtime_failed'];
  for (const code of [...warned, 'no_space', 'unusable_state', 'internal', 'invalid_state', 'not_found']) {
    await app.inject(`/${code}`);
  }
  assert.equal(logged, [
    ...warned.map((code) => `warn ${code}`),
    ...['warn no_space', 'error unusable_state', 'error GET /internal: internal'],
  ]);
  await app.close();
});

test('fields that nobody knows, missing ones and wrong ones are refused with their names', async () => {
  await withApi(async ({ send, machine }) => {
    for (const [url, body, message] of [
      ['/v1/containers', { ...WEB, privileged: true }, /additional properties/],
      ['/v1/containers', { name: 'web' }, /image/],
      ['/v1/containers', { ...WEB, name: '../etc' }, /body\/name/],
      ['/v1/containers', { ...WEB, ports: [{ containerPort: 70_000 }] }, /containerPort/],
      ['/v1/containers', { ...WEB, env: ['NOVALUE'] }, /env/],
      ['/v1/guests', { ...machine.registration, vsockPath: 'relative' }, /vsockPath/],
      ['/v1/guests', { ...machine.registration, token: 'x' }, /additional properties/],
      ['/v1/checkpoints', { container: 'web', id: 'warm', after: 'burn' }, /after/],
      ['/v1/restores', { checkpoint: 'a', guest: 'b', name: 'c', policy: 'fast' }, /policy/],
      ['/v1/images', { path: 'relative' }, /path/],
    ] as const) {
      const answer = await send('POST', url, body);
      assertProblem(answer, 'invalid_request', 400);
      assert.match(answer.body.detail, message);
      assert.match(answer.body.detail, new RegExp(`^POST ${url}: `));
    }
    assert.equal((await send('GET', '/v1/guests')).body, { items: [] });
  });
});

test('a body that is no JSON, is empty, too long or of another type is the client’s error', async () => {
  await withApi(async ({ app, send }) => {
    assertProblem(await send('POST', '/v1/containers', '{"name": '), 'invalid_request', 400);
    assertProblem(await send('POST', '/v1/containers', ''), 'invalid_request', 400);
    const long = JSON.stringify({ ...WEB, image: 'x'.repeat(256 * 1024) });
    assertProblem(await send('POST', '/v1/containers', long), 'body_too_large', 413);
    const xml = await app.inject({
      method: 'POST',
      url: '/v1/containers',
      headers: { 'content-type': 'text/xml' },
      payload: '<web/>',
    });
    assert.is(xml.statusCode, 415);
    assert.is(xml.json().title, 'unsupported_media_type');
    const broken = await app.inject({ method: 'GET', url: '/v1/containers/%zz' });
    assert.is(broken.statusCode, 400);
    assert.match(String(broken.headers['content-type']), /^application\/problem\+json/);
  });
});

test('a method that a resource does not have is refused with those it has', async () => {
  await withApi(async ({ app }) => {
    const answer = await app.inject({ method: 'PATCH', url: '/v1/containers/web?x=1' });
    assert.is(answer.statusCode, 405);
    assert.is(answer.json().title, 'method_not_allowed');
    assert.is(answer.headers.allow, 'DELETE, GET, HEAD');
  });
});

test.run();
