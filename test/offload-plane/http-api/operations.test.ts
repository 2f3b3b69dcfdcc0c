import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertProblem, withApi } from '../../helpers/api-world.ts';

const WEB = { name: 'web', guest: 'guest-a', image: 'redis' };

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

test.run();
