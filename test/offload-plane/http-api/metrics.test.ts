import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withApi } from '../../helpers/api-world.ts';

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

test.run();
