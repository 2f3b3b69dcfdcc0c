import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { API_VERSION } from '../../../offload-plane/http-api/server.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { makeCgroup } from '../../helpers/agent-world.ts';
import { assertProblem, withApi } from '../../helpers/api-world.ts';
import { DUMPED_PAGE_COUNT } from '../../helpers/criu-dump.ts';
import { startFakeMachine } from '../../helpers/fake-machine.ts';
import { IMAGE } from '../../helpers/placed-image.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const WEB = { name: 'web', guest: 'guest-a', image: 'redis' };

interface Described {
  summary?: string;
  operationId: string;
  tags: string[];
  responses: Record<string, unknown>;
}

test("a container's life goes over the API, from the guest's registration to its end", async () => {
  await withApi(async ({ send, machine }) => {
    const guest = await send('POST', '/v1/guests', machine.registration);
    assert.is(guest.status, 201);
    assert.is(guest.body.phase, 'ready');
    assert.is(guest.body.health.crun, '1.28');
    assert.equal((await send('GET', '/v1/guests')).body, { items: [guest.body] });
    const created = await send('POST', '/v1/containers', WEB);
    assert.is(created.status, 201);
    assert.is(created.body.phase, 'created');
    assert.is((await send('POST', '/v1/containers/web/start')).body.phase, 'running');
    assert.is((await send('GET', '/v1/containers/web')).body.phase, 'running');
    assert.is((await send('POST', '/v1/containers/web/pause')).body.phase, 'paused');
    assert.is((await send('POST', '/v1/containers/web/resume')).body.phase, 'running');
    assert.is((await send('POST', '/v1/containers/web/kill', { signal: 'SIGHUP' })).status, 200);
    assert.is(machine.world.crunCalls().at(-1), `kill ${created.body.id} 1`);
    assert.is((await send('GET', `/v1/containers/${created.body.id}/stats`)).body.pidCount, 0);
    assert.is((await send('DELETE', '/v1/containers/web?force=true')).status, 204);
    assert.equal((await send('GET', '/v1/containers')).body, { items: [] });
    assert.is((await send('DELETE', '/v1/guests/guest-a')).status, 204);
    assertProblem(await send('GET', '/v1/guests/guest-a'), 'not_found', 404);
  });
});

test('a container is stopped, waited for, started again and removed, and what cannot be says why', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    const { id } = (await send('POST', '/v1/containers', WEB)).body;
    await send('POST', '/v1/containers/web/start');
    assert.is((await send('POST', '/v1/containers/web/wait?timeoutMs=1')).body.exitCode, undefined);
    const waiting = send('POST', '/v1/containers/web/wait');
    const stopping = send('POST', '/v1/containers/web/stop');
    await until('the signal', () => machine.world.crunCalls().includes(`kill ${id} 15`));
    machine.world.leaveExit(id, 3);
    assert.is((await stopping).body.phase, 'stopped');
    assert.equal((await waiting).body, { phase: 'stopped', exitCode: 3 });
    assertProblem(await send('POST', '/v1/containers/web/stop'), 'invalid_state', 409);
    assertProblem(await send('GET', '/v1/containers/web/top'), 'invalid_state', 409);
    assert.is((await send('POST', '/v1/containers/web/start')).body.phase, 'running');
    const refused = await send('DELETE', '/v1/containers/web');
    assertProblem(refused, 'invalid_state', 409);
    assert.is(refused.body.detail, 'delete container web: it is running, not created or stopped or lost');
    const killing = send('POST', '/v1/containers/web/stop', { signal: 'SIGINT', graceMs: 1 });
    await until('both signals', () => machine.world.crunCalls().at(-1) === `kill ${id} 9`);
    assert.ok(machine.world.crunCalls().includes(`kill ${id} 2`));
    machine.world.leaveExit(id, 137);
    assert.is((await killing).body.exitCode, 137);
    assert.is((await send('DELETE', '/v1/containers/web')).status, 204);
  });
});

test('a container that ends by itself is started again as its policy says, and not after a stop', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    const { id } = (await send('POST', '/v1/containers', { ...WEB, restart: { name: 'always' } })).body;
    await send('POST', '/v1/containers/web/start');
    machine.world.leaveExit(id, 0);
    const web = async () => (await send('GET', '/v1/containers/web')).body;
    await until('the restart', async () => {
      const { phase, restartCount } = await web();
      return phase === 'running' && restartCount === 1;
    });
    const stopping = send('POST', '/v1/containers/web/stop');
    await until('the signal', () => machine.world.crunCalls().includes(`kill ${id} 15`));
    machine.world.leaveExit(id, 143);
    assert.is((await stopping).body.phase, 'stopped');
    const starts = () => machine.world.crunCalls().filter((line) => line === `start ${id}`).length;
    assert.is(starts(), 2);
    assert.is((await web()).phase, 'stopped');
  });
});

test('a container of a lost guest comes back from its last checkpoint in another, where its policy says so', async () => {
  await withApi(async ({ send, machine }) => {
    const other = await startFakeMachine('guest-b');
    try {
      await send('POST', '/v1/guests', machine.registration);
      await send('POST', '/v1/guests', other.registration);
      const ports = [{ containerPort: 80 }];
      const made = (await send('POST', '/v1/containers', { ...WEB, onLost: 'restore', ports })).body;
      await send('POST', '/v1/containers', { ...WEB, name: 'other' });
      for (const name of ['web', 'other']) await send('POST', `/v1/containers/${name}/start`);
      await send('POST', '/v1/checkpoints', { container: 'web', id: 'warm' });
      machine.close();
      const web = async () => (await send('GET', '/v1/containers/web')).body;
      await until('its return', async () => {
        const { guest, phase } = await web();
        return guest === 'guest-b' && phase === 'running';
      });
      assert.equal((await web()).ports, made.ports);
      assert.is((await web()).policies.onLost, 'restore');
      await until('one web', async () => (await send('GET', '/v1/containers')).body.items.length === 2);
      assert.is((await send('GET', '/v1/containers/other')).body.phase, 'lost');
      await send('DELETE', '/v1/containers/web?force=true');
    } finally {
      other.close();
    }
  });
});

test('a cordoned guest takes no new container until it is uncordoned', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    assert.is((await send('POST', '/v1/guests/guest-a/cordon')).body.cordoned, true);
    assertProblem(await send('POST', '/v1/containers', WEB), 'invalid_state', 409);
    assert.is((await send('POST', '/v1/guests/guest-a/uncordon')).body.cordoned, false);
    assert.is((await send('POST', '/v1/containers', WEB)).status, 201);
  });
});

test('a guest that is drained is cordoned; what runs moves with name, ports and policies, and what cannot go stays', async () => {
  await withApi(async ({ send, machine }) => {
    const other = await startFakeMachine('guest-b');
    try {
      await send('POST', '/v1/guests', machine.registration);
      const ports = [{ containerPort: 80 }];
      const made = (await send('POST', '/v1/containers', { ...WEB, ports, restart: { name: 'always' } }))
        .body;
      await send('POST', '/v1/containers/web/start');
      await send('POST', '/v1/containers', { ...WEB, name: 'idle' });
      const alone = await send('POST', '/v1/guests/guest-a/drain', {});
      assert.is(alone.status, 200, JSON.stringify(alone.body));
      assert.equal(
        alone.body.left.map(({ container }: { container: string }) => container),
        ['web', 'idle'],
      );
      assert.match(alone.body.left[0].reason, /no guest takes it: guest-a is cordoned/);
      assert.is((await send('GET', '/v1/containers/web')).body.phase, 'running');

      await send('POST', '/v1/guests', other.registration);
      const killFile = join(makeCgroup(machine.world, made.id), 'cgroup.kill');
      writeFileSync(killFile, '');
      const asked = send('POST', '/v1/guests/guest-a/drain', { rest: 'stop' });
      await until('the end of the one that moves', () => readFileSync(killFile, 'utf8') === '1');
      machine.world.leaveExit(made.id, 137);
      const answer = await asked;
      assert.is(answer.status, 200, JSON.stringify(answer.body));
      const drained = answer.body;
      assert.equal(
        drained.moved.map(({ container, guest }: Record<string, string>) => [container, guest]),
        [['web', 'guest-b']],
        JSON.stringify(drained),
      );
      assert.match(drained.left[0].reason, /checkpoint container idle: it is created/);
      const web = (await send('GET', '/v1/containers/web')).body;
      assert.equal([web.guest, web.phase, web.ports], ['guest-b', 'running', made.ports]);
      assert.is(web.policies.restart.name, 'always');
      assert.is((await send('GET', '/v1/containers')).body.items.length, 2);
      assert.is((await send('GET', '/v1/guests/guest-a')).body.cordoned, true);
      await send('DELETE', '/v1/containers/web?force=true');
    } finally {
      other.close();
    }
  });
});

test('a checkpoint is taken through the agent, listed and restored; a deleted container ends its restore', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    await send('POST', '/v1/containers', WEB);
    await send('POST', '/v1/containers/web/start');
    const taken = await send('POST', '/v1/checkpoints', { container: 'web', id: 'warm' });
    assert.is(taken.status, 201, JSON.stringify(taken.body));
    assert.is(taken.body.pageCount, DUMPED_PAGE_COUNT);
    const { frozenMs, ...rest } = taken.body;
    assert.ok(frozenMs > 0);
    assert.equal((await send('GET', '/v1/checkpoints')).body, { items: [{ ...rest, frozenMs }] });
    assert.is((await send('GET', '/v1/containers/web')).body.phase, 'running');
    await send('DELETE', '/v1/containers/web?force=true');

    const restored = await send('POST', '/v1/restores', {
      checkpoint: 'warm',
      guest: 'guest-a',
      name: 'web',
    });
    assert.is(restored.status, 201, JSON.stringify(restored.body));
    const path = `/v1/restores/${restored.body.id}`;
    assert.is((await send('GET', path)).body.phase, 'running');
    assertProblem(await send('POST', `${path}/memory-comparison`), 'invalid_state', 409);
    assertProblem(await send('DELETE', '/v1/checkpoints/warm'), 'invalid_state', 409);
    assert.is((await send('DELETE', '/v1/containers/web?force=true')).status, 204);
    await until('its end', async () => (await send('GET', path)).body.phase === 'failed');
    assert.is((await send('GET', '/v1/restores')).body.items.length, 1);
    assert.is((await send('DELETE', '/v1/checkpoints/warm')).status, 204);
    assertProblem(await send('GET', '/v1/checkpoints/warm'), 'not_found', 404);
  });
});

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

test("a guest's failures keep their code: crun's, an unreachable guest's and a lost one's", async () => {
  await withApi(async ({ send, machine }) => {
    const vsockPath = join(tempDirectory('nobody'), 'vsock');
    const unreachable = await send('POST', '/v1/guests', { ...machine.registration, vsockPath });
    assertProblem(unreachable, 'deadline_exceeded', 504);
    await send('POST', '/v1/guests', machine.registration);
    machine.world.fail('conmon', '{"data": -1, "message": "crun: no such file"}');
    const refused = await send('POST', '/v1/containers', WEB);
    assertProblem(refused, 'runtime_failed', 500);
    assert.is(refused.body.detail, 'crun create web: crun: no such file');
    machine.close();
    await until('the loss', async () => (await send('GET', '/v1/guests/guest-a')).body.phase === 'lost');
    assertProblem(await send('POST', '/v1/containers', WEB), 'guest_lost', 502);
    assert.match((await send('GET', '/metrics')).body, /^offload_guests\{phase="ready"\} 0$/m);
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

test('metrics tell of guests, store and requests by route, not by name', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    await send('GET', '/v1/containers/none');
    const { status, type, body } = await send('GET', '/metrics');
    assert.is(status, 200);
    assert.match(type, /^text\/plain/);
    assert.match(body, /^offload_guests\{phase="ready"\} 1$/m);
    assert.match(body, /^offload_store_used_bytes 0$/m);
    assert.match(
      body,
      /offload_http_request_duration_seconds_count\{method="GET",route="\/v1\/containers\/:name",status="404"\} 1/,
    );
  });
});

test('a long call that is not waited for answers with an operation, which tells the rest', async () => {
  await withApi(async ({ app, send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    await send('POST', '/v1/containers', WEB);
    await send('POST', '/v1/containers/web/start');
    const response = await app.inject({
      method: 'POST',
      url: '/v1/checkpoints',
      headers: { prefer: 'respond-async' },
      payload: { container: 'web', id: 'warm' },
    });
    assert.is(response.statusCode, 202);
    assert.is(response.headers['preference-applied'], 'respond-async');
    const location = String(response.headers.location);
    assert.is(location, `/v1/operations/${response.json().id}`);
    const { body: lines } = await app.inject(`${location}/events`);
    const last = JSON.parse(lines.trim().split('\n').at(-1)!);
    assert.is(last.phase, 'succeeded');
    const { body: operation } = await send('GET', location);
    assert.is(operation.kind, 'checkpoint');
    assert.is(operation.result.id, 'warm');
    assertProblem(await send('POST', `${location}/cancel`), 'invalid_state', 409);
    assert.is((await send('GET', '/v1/operations')).body.items.length, 1);
    assert.is((await send('GET', '/v1/operations?phase=succeeded')).body.items.length, 1);
    assert.is((await send('GET', '/v1/operations?phase=cancelled')).body.items.length, 0);
    const { body: metrics } = await app.inject('/metrics');
    assert.match(metrics, /^offload_operations_total\{kind="checkpoint",outcome="succeeded"\} 1$/m);
    assertProblem(await send('GET', '/v1/operations/none'), 'not_found', 404);
  });
});

test('a pinned checkpoint is not deleted before it is unpinned, and metrics count it', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    assert.is((await send('POST', '/v1/containers', { ...WEB, tenant: 'team-a' })).body.tenant, 'team-a');
    await send('POST', '/v1/containers/web/start');
    for (const id of ['warm', 'again']) await send('POST', '/v1/checkpoints', { container: 'web', id });
    const pinned = await send('PUT', '/v1/checkpoints/warm/pin');
    assert.is(pinned.status, 200, JSON.stringify(pinned.body));
    assert.is(pinned.body.pinned, true);
    assert.is(pinned.body.tenant, 'team-a');
    assertProblem(await send('DELETE', '/v1/checkpoints/warm'), 'invalid_state', 409);
    const { body: metrics } = await send('GET', '/metrics');
    assert.match(metrics, /^offload_store_checkpoints 2$/m);
    assert.match(metrics, /^offload_store_pinned_checkpoints 1$/m);
    assert.match(metrics, new RegExp(`^offload_store_shared_bytes ${DUMPED_PAGE_COUNT * 4_096}$`, 'm'));
    assert.match(metrics, /^offload_store_evictions_total 0$/m);
    assert.is((await send('DELETE', '/v1/checkpoints/warm/pin')).body.pinned, false);
    assert.is((await send('DELETE', '/v1/checkpoints/warm')).status, 204);
    assertProblem(await send('PUT', '/v1/checkpoints/warm/pin'), 'not_found', 404);
  });
});

test('the description of the API is served, and has an answer and a tag for every route', async () => {
  await withApi(async ({ send }) => {
    const { body } = await send('GET', '/v1/openapi.json');
    const written = readFileSync(join(import.meta.dirname, '../../../docs/openapi.json'), 'utf8');
    assert.ok(isDeepStrictEqual(body, JSON.parse(written)), 'docs/openapi.json is old: npm run docs');
    assert.is(body.openapi, '3.1.0');
    assert.is(body.info.version, API_VERSION);
    const routes = Object.entries(body.paths as Record<string, Record<string, Described>>).flatMap(
      ([path, methods]) => Object.entries(methods).map(([method, route]) => ({ path, method, route })),
    );
    assert.ok(routes.length >= 20);
    assert.is(new Set(routes.map(({ route }) => route.operationId)).size, routes.length);
    for (const { path, method, route } of routes) {
      assert.ok(route.summary, `${method} ${path} has no summary`);
      assert.ok(
        Object.keys(route.responses).some((status) => /^(101|2\d\d)$/.test(status)),
        `${method} ${path} describes no answer`,
      );
      assert.equal(route.tags, [path.split('/')[2]]);
    }
    assert.is(routes.filter(({ path }) => path.includes('openapi')).length, 0);
  });
});

test('a container that names neither itself nor a guest gets a name, and the guest that takes it', async () => {
  await withApi(async ({ send, machine }) => {
    assertProblem(await send('POST', '/v1/containers', { image: 'redis' }), 'invalid_state', 409);
    await send('POST', '/v1/guests', machine.registration);
    const labels = { team: 'a' };
    const { status, body } = await send('POST', '/v1/containers', { image: 'redis', labels });
    assert.is(status, 201, JSON.stringify(body));
    assert.match(body.name, /^[a-z]+_[a-z]+$/);
    assert.is(body.guest, 'guest-a');
    for (const [query, count] of [
      ['label=team', 1],
      ['label=team%3Da', 1],
      ['label=team%3Db', 0],
      ['label=team&label=other', 0],
    ] as const) {
      assert.is((await send('GET', `/v1/containers?${query}`)).body.items.length, count, query);
    }
  });
});

test('how a container runs is what its request says', async () => {
  await withApi(async ({ send, machine, plane }) => {
    await send('POST', '/v1/guests', machine.registration);
    const wish = {
      ...{ user: '1000:100', workingDir: '/srv', hostname: 'box', readonlyRootfs: true, pidLimit: 64 },
      ...{ cpuLimitMillicores: 500, memoryLimitMiB: 64, capabilitiesDrop: ['ALL'], seccomp: 'unconfined' },
      ...{ tmpfs: [{ destination: '/tmp' }], terminal: true, openStdin: true },
    };
    const answer = await send('POST', '/v1/containers', { ...WEB, ...wish });
    assert.is(answer.status, 201, JSON.stringify(answer.body));
    const { address: _own, command: _image, env: _too, ...spec } = plane.containers.get('web').recipe.spec;
    assert.equal(spec, {
      ...{ user: '1000:100', workingDir: '/srv', hostname: 'box', readonlyRootfs: true, pidLimit: 64 },
      ...{ cpuLimitMillicores: 500, memoryLimitBytes: 64 * 1024 * 1024, capabilities: [] },
      ...{ seccomp: 'unconfined', tmpfs: [{ destination: '/tmp' }], terminal: true, openStdin: true },
    });
    const unknown = await send('POST', '/v1/containers', { ...WEB, name: 'b', capabilitiesAdd: ['FLY'] });
    assertProblem(unknown, 'invalid_request', 400);
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

test('containers are listed page by page and by what they are, and a foreign cursor is refused', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    for (const name of ['web-1', 'web-2', 'cache']) await send('POST', '/v1/containers', { ...WEB, name });
    await send('POST', '/v1/containers/cache/start');
    const names = async (query: string) => {
      const { status, body } = await send('GET', `/v1/containers?${query}`);
      assert.is(status, 200, JSON.stringify(body));
      return (body.items as { name: string }[]).map(({ name }) => name).sort();
    };
    assert.equal(await names('phase=running'), ['cache']);
    assert.equal(await names('name=web'), ['web-1', 'web-2']);
    assert.equal(await names('guest=guest-b'), []);
    const first = (await send('GET', '/v1/containers?limit=2')).body;
    assert.is(first.items.length, 2);
    const second = (await send('GET', `/v1/containers?limit=2&cursor=${first.next}`)).body;
    const seen = [...first.items, ...second.items].map(({ name }) => name).sort();
    assert.equal(seen, ['cache', 'web-1', 'web-2']);
    assert.is(second.next, undefined);
    for (const query of ['cursor=x', `cursor=!${first.next}`, 'limit=0', 'limit=1001', 'color=red']) {
      assertProblem(await send('GET', `/v1/containers?${query}`), 'invalid_request', 400);
    }
    assertProblem(await send('GET', `/v1/images?cursor=${first.next}`), 'invalid_request', 400);
  });
});

test('images are listed and found by name or digest; one that is gone is not found', async () => {
  await withApi(async ({ send }) => {
    const [image] = (await send('GET', '/v1/images')).body.items;
    assert.is(image.name, 'redis');
    assert.equal((await send('GET', `/v1/images/${encodeURIComponent(IMAGE)}`)).body, image);
    assertProblem(await send('POST', '/v1/images', { path: '/nowhere' }), 'invalid_request', 400);
    assert.is((await send('DELETE', '/v1/images/redis')).status, 204);
    assert.equal((await send('GET', '/v1/images')).body, { items: [] });
  });
});

test.run();
