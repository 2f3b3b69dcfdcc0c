import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withPlane } from '../cli/answering-plane.ts';
import { CHECKPOINT, CONTAINER } from '../cli/views.ts';

const ROOT = join(import.meta.dirname, '../../..');
const TIMEOUT_MS = 300_000;

test('the example of the documentation runs as it stands there', async () => {
  const [, example = ''] = /```ts\n(.*?)```/s.exec(readFileSync(join(ROOT, 'docs/api.md'), 'utf8')) ?? [];
  const answers = {
    'POST /v1/containers': CONTAINER,
    'POST /v1/containers/c0ffee00c0de/start': CONTAINER,
    'POST /v1/checkpoints': CHECKPOINT,
    'GET /v1/checkpoints?limit=1000': { items: [CHECKPOINT] },
  };
  await withPlane(answers, async (socket, asked) => {
    const { stdout } = await execa(process.execPath, ['--input-type=module-typescript', '-e', example], {
      ...{ cwd: ROOT, timeout: TIMEOUT_MS },
      env: { OFFLOAD_SOCKET: socket },
    });
    assert.equal(stdout.split('\n'), ['web answers on port 40001', `warm ${CHECKPOINT.bytes}`]);
    const [create, , checkpoint] = asked;
    assert.equal(create?.body, { image: 'redis', ports: [{ containerPort: 6379 }] });
    assert.equal(checkpoint?.body, { container: 'c0ffee00c0de', id: 'web-warm', after: 'resume' });
  });
});

test.run();
