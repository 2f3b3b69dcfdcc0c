import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertProblem, withApi } from '../../helpers/api-world.ts';
import { until } from '../../helpers/until.ts';

const WEB = { name: 'web', guest: 'guest-a', image: 'redis' };

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

test.run();
