import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startFakeMachine } from '../../helpers/fake-machine.ts';
import { offload } from '../../helpers/offload-program.ts';

const call = (...args: string[]) => offload(['agent-call', ...args]);

test('the answer of an agent is printed as it came, and its refusal is an error that says so', async () => {
  const machine = await startFakeMachine('guest-a');
  const at = ['--vsock', machine.registration.vsockPath];
  try {
    assert.equal(JSON.parse((await call('get', '/v1/containers', ...at)).stdout), []);
    const spec = ['--data', '{"id": "no container"}'];
    const refused = await call('POST', '/v1/containers', ...spec, ...at);
    assert.match(refused.stderr, /agent-call POST \/v1\/containers: status 400: .*invalid_request/);
    const none = await call('GET', '/v1/nonsense', ...at);
    assert.match(none.stderr, /status 404/);
  } finally {
    machine.close();
  }
});

test.run();
