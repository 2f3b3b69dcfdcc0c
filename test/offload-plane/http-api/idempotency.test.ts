import fastify from 'fastify';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addIdempotency } from '../../../offload-plane/http-api/idempotency.ts';
import type { App } from '../../../offload-plane/http-api/server.ts';
import { openAnswers } from '../../../offload-plane/operations/answers.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';

/** A plane that makes things: each POST one more, which GET shows. */
function world(path?: string) {
  const state = openState(path);
  const answers = openAnswers(state.database, () => Date.now());
  const app = fastify() as unknown as App;
  let made = 0;
  let failures = 0;
  const gates: (() => void)[] = [];
  app.setErrorHandler((error, _request, reply) => {
    const { code, status } = error as OffloadError;
    void reply.code(status).send({ code });
  });
  const unfinished = new Set<string>();
  addIdempotency(app, answers, (key) => unfinished.has(key));
  app.get('/things/:number', (request) => ({ thing: (request.params as { number: string }).number }));
  app.post('/things', async (request, reply) => {
    const { slow, fails, cut } = (request.body ?? {}) as { slow?: true; fails?: number; cut?: true };
    if (slow) await new Promise<void>((resolve) => gates.push(resolve));
    if (fails && failures++ < fails) throw new OffloadError('guest_lost', 'gone');
    made += 1;
    answers.noteResult({ path: `/things/${made}`, status: 201 });
    if (cut) await new Promise(() => {});
    return reply.code(201).send({ thing: String(made) });
  });
  const post = (key: string | undefined, payload: object = {}) =>
    app.inject({
      method: 'POST',
      url: '/things',
      payload,
      headers: key === undefined ? {} : { 'idempotency-key': key },
    });
  return { ...state, app, post, gates, unfinished, made: () => made };
}

test('the same key and request get the first answer and do nothing again, from the next plane as well', async () => {
  const first = world();
  const answer = await first.post('k1', { a: 1 });
  assert.is(answer.statusCode, 201);
  const repeated = await first.post('k1', { a: 1 });
  assert.is(repeated.statusCode, 201);
  assert.is(repeated.body, answer.body);
  assert.is(repeated.headers['idempotency-replayed'], 'true');
  await first.post(undefined, { a: 1 });
  await first.post('k2', { a: 1 });
  assert.is(first.made(), 3);
  first.database.close();
  const next = world(first.path);
  const later = await next.post('k1', { a: 1 });
  assert.is(later.body, answer.body);
  assert.is(later.headers['content-type'], answer.headers['content-type']);
  assert.is(next.made(), 0);
  next.database.close();
});

test('another request with the key of a first one is refused, and a key that is none', async () => {
  const { post, made, database } = world();
  await post('k1', { a: 1 });
  const other = await post('k1', { a: 2 });
  assert.is(other.statusCode, 422);
  assert.is(other.json().code, 'idempotency_mismatch');
  assert.is((await post('a key')).statusCode, 400);
  assert.is(made(), 1);
  database.close();
});

test('a repeat that comes while the first is under way waits for its answer', async () => {
  const { post, made, gates, database } = world();
  const both = [post('k1', { slow: true }), post('k1', { slow: true })];
  while (gates.length === 0) await new Promise(setImmediate);
  gates[0]!();
  const [one, two] = await Promise.all(both);
  assert.is(one?.body, two?.body);
  assert.is(made(), 1);
  assert.is(gates.length, 1);
  database.close();
});

test('a failure of the plane or a guest is not kept: the same key tries again', async () => {
  const { post, made, database } = world();
  assert.is((await post('k1', { fails: 1 })).statusCode, 502);
  assert.is((await post('k1', { fails: 1 })).statusCode, 201);
  assert.is(made(), 1);
  database.close();
});

test('after a plane that ended between the effect and the answer, the key gets what was made', async () => {
  const first = world();
  void first.post('k1', { cut: true });
  while (first.made() === 0) await new Promise(setImmediate);
  first.database.close();
  const next = world(first.path);
  const answer = await next.post('k1', { cut: true });
  assert.is(answer.statusCode, 201);
  assert.equal(answer.json(), { thing: '1' });
  assert.is(next.made(), 0);
  next.database.close();
});

test('a request that was cut off, and is still to be finished, is not done a second time', async () => {
  const first = world();
  void first.post('k1', { slow: true });
  await until('the request', () => first.gates.length === 1);
  first.database.close();
  const next = world(first.path);
  next.unfinished.add('k1');
  const early = await next.post('k1', { slow: true });
  assert.equal([early.statusCode, early.json()], [503, { code: 'interrupted' }]);
  assert.is(next.gates.length, 0);
  // It was undone.
  next.unfinished.clear();
  const later = next.post('k1', { slow: true });
  await until('the request again', () => next.gates.length === 1);
  next.gates[0]!();
  assert.is((await later).statusCode, 201);
  next.database.close();
});

test.run();
