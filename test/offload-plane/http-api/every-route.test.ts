/** What holds for every list and every POST, whatever it is about: the routes are taken from the description. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ApiAnswer, type ApiWorld, withApi } from '../../helpers/api-world.ts';
import { writeCriuCheckpoint } from '../../helpers/criu-checkpoint.ts';
import { startFakeMachine } from '../../helpers/fake-machine.ts';
import { until } from '../../helpers/until.ts';

const MIB = 1024 * 1024;
const test = suite('every route');

interface Route {
  parameters?: { name: string; in: string }[];
  responses: Record<string, { content?: Record<string, { schema?: { properties?: object } }> }>;
}

async function routesOf({ send }: ApiWorld, method: string): Promise<[path: string, route: Route][]> {
  const { body } = await send('GET', '/v1/openapi.json');
  const paths = Object.entries(body.paths as Record<string, Record<string, Route>>);
  return paths.flatMap(([path, methods]) => (methods[method] ? [[path, methods[method]]] : []));
}

const isPaged = ({ parameters = [] }: Route) => parameters.some(({ name }) => name === 'cursor');
const isPage = ({ responses }: Route) => {
  const { schema } = responses['200']?.content?.['application/json'] ?? {};
  return 'items' in (schema?.properties ?? {}) && 'next' in (schema?.properties ?? {});
};

/** Two of what can be had without a guest that restores. */
async function fill({ send, plane, machine }: ApiWorld): Promise<void> {
  await send('POST', '/v1/guests', machine.registration);
  for (const name of ['one', 'two']) {
    await send('POST', '/v1/containers', { name, guest: 'guest-a', image: 'redis' });
    await send('POST', '/v1/volumes', { name, sizeBytes: 16 * MIB });
    await writeCriuCheckpoint(plane.store, name);
    await send('POST', '/v1/images', { path: `/nowhere/${name}` });
  }
}

test('each list is a page with a cursor, and page by page it is the whole list', async () => {
  await withApi(async (world) => {
    await fill(world);
    const lists = await routesOf(world, 'get');
    const paged = lists.filter(([, route]) => isPaged(route));
    assert.equal(
      paged.map(([path]) => path),
      lists.filter(([, route]) => isPage(route)).map(([path]) => path),
    );
    assert.ok(paged.length >= 8);
    const long: string[] = [];
    for (const [path] of paged) {
      const whole = (await world.send('GET', `${path}?limit=1000`)).body;
      assert.is(whole.next, undefined, path);
      const pages = await pagesOf(world, path);
      assert.equal(pages.flat(), whole.items, path);
      assert.ok(
        pages.every((items) => items.length <= 1),
        path,
      );
      if (whole.items.length > 1) long.push(path);
    }
    for (const noun of ['containers', 'volumes', 'checkpoints', 'operations'])
      assert.ok(long.includes(`/v1/${noun}`), `${noun} has more than one`);
  });
});

async function pagesOf({ send }: ApiWorld, path: string): Promise<unknown[][]> {
  const pages: unknown[][] = [];
  for (let cursor: string | undefined; ; ) {
    const { body } = await send('GET', `${path}?limit=1${cursor ? `&cursor=${cursor}` : ''}`);
    pages.push(body.items);
    if (body.next === undefined) return pages;
    cursor = body.next;
  }
}

interface Request {
  /** Parts of the path, in their order; default `web`. */
  of?: string[];
  query?: string;
  body?: object | string;
  status: number;
  /** Before it is sent, and while it is under way. */
  before?: (world: ApiWorld) => Promise<unknown>;
  during?: (world: ApiWorld) => Promise<unknown>;
}

const makeWeb = async ({ send }: ApiWorld) => {
  await send('POST', '/v1/containers', { name: 'web', guest: 'guest-a', image: 'redis' });
};
const startWeb = async (world: ApiWorld) => {
  await makeWeb(world);
  await world.send('POST', '/v1/containers/web/start');
};
const pauseWeb = async (world: ApiWorld) => {
  await startWeb(world);
  await world.send('POST', '/v1/containers/web/pause');
};
/** The signal is there: the fake container ends. */
const endWeb = async ({ plane, machine }: ApiWorld) => {
  const { id } = plane.containers.get('web');
  await until('the signal', () => machine.world.crunCalls().includes(`kill ${id} 15`));
  machine.world.leaveExit(id, 0);
};

/** A request of each POST: one that does something where that takes no real guest, else one that is refused. */
const REQUESTS: Record<string, Request> = {
  '/v1/guests': { status: 201 },
  '/v1/guests/{name}/cordon': { of: ['guest-a'], status: 200 },
  '/v1/guests/{name}/uncordon': { of: ['guest-a'], status: 200 },
  '/v1/guests/{name}/drain': { of: ['guest-a'], body: { rest: 'leave' }, status: 200 },
  '/v1/images': { body: { path: '/nowhere' }, status: 400 },
  '/v1/images/load': { body: 'no tar', status: 422 },
  '/v1/images/pull': { body: { reference: 'Not A Reference' }, status: 400 },
  '/v1/images/prune': { body: { all: false }, status: 200 },
  '/v1/volumes': { body: { name: 'data', sizeBytes: 16 * MIB }, status: 201 },
  '/v1/volumes/prune': { status: 200 },
  '/v1/containers': { body: { name: 'web', guest: 'guest-a', image: 'redis' }, status: 201 },
  '/v1/containers/{name}/start': { before: makeWeb, status: 200 },
  '/v1/containers/{name}/stop': { before: startWeb, during: endWeb, status: 200 },
  '/v1/containers/{name}/restart': { before: startWeb, during: endWeb, status: 200 },
  '/v1/containers/{name}/wait': { before: startWeb, query: '?timeoutMs=1', status: 200 },
  '/v1/containers/{name}/kill': { before: startWeb, body: { signal: 'SIGHUP' }, status: 200 },
  '/v1/containers/{name}/pause': { before: startWeb, status: 200 },
  '/v1/containers/{name}/resume': { before: pauseWeb, status: 200 },
  '/v1/containers/{name}/rename': { before: makeWeb, body: { name: 'site' }, status: 200 },
  '/v1/containers/{name}/resize': { body: { columns: 80, rows: 24 }, status: 404 },
  '/v1/containers/{name}/execs': { before: makeWeb, body: { command: ['true'] }, status: 409 },
  '/v1/execs/{id}/resize': {
    of: ['c0ffee000001-c0ffee000001'],
    body: { columns: 80, rows: 24 },
    status: 404,
  },
  '/v1/checkpoints': { before: makeWeb, body: { container: 'web', id: 'warm' }, status: 409 },
  '/v1/checkpoints/import': { body: 'no tar', status: 422 },
  '/v1/restores': { body: { checkpoint: 'none', guest: 'guest-a', name: 'web' }, status: 404 },
  '/v1/restores/{id}/memory-comparison': { of: ['none'], status: 404 },
  '/v1/templates': { body: { name: 'web', image: 'none', guest: 'guest-a' }, status: 404 },
  '/v1/templates/{name}/run': { of: ['none'], body: {}, status: 404 },
  '/v1/operations/{id}/cancel': { of: ['none'], status: 404 },
};

async function post(
  { app }: ApiWorld,
  key: string,
  url: string,
  body: object | string | undefined,
): Promise<ApiAnswer & { replayed: boolean }> {
  const type = typeof body === 'string' ? 'application/x-tar' : 'application/json';
  const response = await app.inject({
    method: 'POST',
    url,
    headers: { 'idempotency-key': key, ...(body === undefined ? {} : { 'content-type': type }) },
    ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const replayed = response.headers['idempotency-replayed'] === 'true';
  return { status: response.statusCode, type, body: response.body, replayed };
}

const traceOf = ({ plane, machine }: ApiWorld) => ({
  calls: machine.world.crunCalls(),
  containers: plane.containers.list(),
  operations: plane.operations.list().length,
  events: plane.journal.last(),
});

test('the table has a request of each POST', async () => {
  await withApi(async (world) => {
    const posts = (await routesOf(world, 'post')).map(([path]) => path);
    assert.equal(Object.keys(REQUESTS).sort(), posts.sort());
  });
});

/** Nothing of one request is left for the next. */
async function clear({ send, plane }: ApiWorld): Promise<void> {
  for (const { id } of plane.containers.list()) await send('DELETE', `/v1/containers/${id}?force=true`);
  await send('POST', '/v1/guests/guest-a/uncordon');
}

test('each POST twice with one key is answered twice and done once', async () => {
  await withApi(async (world) => {
    const other = await startFakeMachine('guest-b');
    await world.send('POST', '/v1/guests', world.machine.registration);
    for (const [path, { of = ['web'], query = '', body, status, before, during }] of Object.entries(
      REQUESTS,
    )) {
      await before?.(world);
      const parts = [...of];
      const url = `${path.replaceAll(/\{\w+\}/g, () => parts.shift() ?? '')}${query}`;
      const sent = path === '/v1/guests' ? other.registration : body;
      const answering = post(world, path, url, sent);
      await during?.(world);
      const first = await answering;
      assert.is(first.status, status, `${path}: ${first.body}`);
      assert.is(first.replayed, false, path);
      const trace = traceOf(world);
      assert.equal(await post(world, path, url, sent), { ...first, replayed: true }, path);
      assert.equal(traceOf(world), trace, path);
      await clear(world);
    }
    other.close();
  });
});

test.run();
