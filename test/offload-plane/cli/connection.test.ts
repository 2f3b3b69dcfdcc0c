import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { offload } from '../../helpers/offload-program.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

test('without a plane there is one line that names the socket, and exit code 1', async () => {
  const socket = join(tempDirectory('cli'), 'nobody.sock');
  const [byFlag, byEnvironment] = await Promise.all([
    offload(['--socket', socket, 'ps']),
    offload(['guests'], { OFFLOAD_SOCKET: socket }),
  ]);
  for (const { exitCode, stdout, stderr } of [byFlag, byEnvironment]) {
    assert.is(exitCode, 1);
    assert.is(stdout, '');
    assert.match(stderr, /^offload: plane at [^\n]+\n +bring one up with `offload up`[^\n]+$/);
    assert.ok(stderr.includes(socket));
  }
});

test('a plane on TCP is spoken to with its token, which flags and environment name', async () => {
  const directory = tempDirectory('cli');
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, 'the-token\n');
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end(JSON.stringify({ items: [] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const results = await Promise.all([
    offload(['--url', url, 'restores', '--token-file', tokenFile]),
    offload(['restores'], { OFFLOAD_URL: url, OFFLOAD_TOKEN_FILE: tokenFile }),
    offload(['restores', '--url', 'nonsense']),
  ]);
  server.close();
  assert.equal(
    results.map(({ exitCode }) => exitCode),
    [0, 0, 1],
  );
  assert.equal(seen, ['Bearer the-token', 'Bearer the-token']);
  assert.match(results[2]?.stderr ?? '', /--url nonsense: expected/);
});

test.run();
