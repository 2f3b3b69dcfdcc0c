import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertProblem, withApi } from '../../helpers/api-world.ts';
import { DUMPED_PAGE_COUNT } from '../../helpers/criu-dump.ts';
import { until } from '../../helpers/until.ts';

const WEB = { name: 'web', guest: 'guest-a', image: 'redis' };

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

test.run();
