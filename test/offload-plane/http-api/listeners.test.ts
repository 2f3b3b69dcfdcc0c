import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createPlaneClient, type PlaneAddress } from '../../../offload-plane/client/index.ts';
import { TOKEN_PROTOCOL_PREFIX } from '../../../offload-plane/http-api/access.ts';
import { openListeners } from '../../../offload-plane/http-api/listeners.ts';
import { createHttpApi, type HttpApiOptions } from '../../../offload-plane/http-api/server.ts';
import { createPlane, type Plane } from '../../../offload-plane/plane.ts';
import { freePort } from '../../../testbed/scenarios/free-port.ts';
import { PATIENT_TIMEOUTS } from '../../helpers/patient-timeouts.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const TOKEN = 'correct-horse-battery-staple-0123456789';

async function withPlane(body: (plane: Plane, directory: string) => Promise<void>): Promise<void> {
  const directory = tempDirectory('listeners');
  const plane = await createPlane(
    { storeDirectory: join(directory, 'store'), hostAddress: '127.0.0.1', timeouts: PATIENT_TIMEOUTS },
    { logger: silentLogger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  try {
    await body(plane, directory);
  } finally {
    await plane.close();
  }
}

/** The plane on a Unix socket and on TCP. */
async function withListeners(
  options: HttpApiOptions,
  body: (places: { socketPath: string; port: number }) => Promise<void>,
): Promise<void> {
  await withPlane(async (plane, directory) => {
    const socketPath = join(directory, 'plane.sock');
    const port = await freePort();
    const tcp = { address: '127.0.0.1', port, options };
    const listeners = await openListeners(plane, silentLogger, { socketPath, tcp });
    try {
      await body({ socketPath, port });
    } finally {
      await listeners.close();
    }
  });
}

/** What came of listing the guests: `ok`, or the error's code. */
async function outcomeAt(address: PlaneAddress): Promise<string> {
  const client = createPlaneClient(address);
  try {
    assert.equal(await client.guests.list(), []);
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await client.close();
  }
}

test('over TCP only the token opens the API, over the Unix socket its mode decides', async () => {
  await withListeners({ token: TOKEN }, async ({ socketPath, port }) => {
    const url = `http://127.0.0.1:${port}`;
    assert.is(await outcomeAt({ socketPath }), 'ok');
    assert.is(statSync(socketPath).mode & 0o777, 0o600);
    assert.is(await outcomeAt({ url, token: TOKEN }), 'ok');
    assert.is(await outcomeAt({ url }), 'unauthorized');
    assert.is(await outcomeAt({ url, token: `${TOKEN}x` }), 'unauthorized');
    assert.is(await outcomeAt({ url, token: TOKEN.slice(1) }), 'unauthorized');
  });
});

test('without the token nothing below /v1 is told, not even what there is', async () => {
  await withPlane(async (plane) => {
    const app = await createHttpApi(plane, silentLogger, { token: TOKEN });
    for (const url of ['/v1/nothing', '/v1/openapi.json', '/metrics', '/v1/images?limit=0', '/v1']) {
      const answer = await app.inject({ url });
      assert.is(answer.statusCode, 401, url);
      assert.is(answer.json().title, 'unauthorized');
      assert.match(String(answer.headers['www-authenticate']), /^Bearer /);
    }
    const authorization = `Bearer ${TOKEN}`;
    assert.is((await app.inject({ url: '/v1/nothing', headers: { authorization } })).statusCode, 404);
    await app.close();
  });
});

/** The status line's number for a request target as it is, however odd. */
async function statusOf(port: number, target: string, headers: string[] = []): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  const lines = [`GET ${target} HTTP/1.1`, 'Host: plane', 'Connection: close', ...headers];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  return Number((await text(socket)).split(' ')[1]);
}

test('however its path is spelt, nothing is answered without the token but the dashboard’s page', async () => {
  await withListeners({ token: TOKEN }, async ({ port }) => {
    const spellings = ['/%761/guests', '/v%31/guests', 'http://plane/v1/guests', '/%6detrics', '//v1/guests'];
    for (const target of [...spellings, '/v1/guests', '/V1/guests', '/nothing']) {
      assert.is(await statusOf(port, target), 401, target);
    }
    assert.is(await statusOf(port, '/'), 200);
    assert.is(await statusOf(port, '/assets/nothing.js'), 404);
    assert.is(await statusOf(port, '/%761/guests', [`Authorization: Bearer ${TOKEN}`]), 200);
  });
});

test('a WebSocket of a browser brings the token as a protocol, which nobody hears of again', async () => {
  await withPlane(async (plane) => {
    const app = await createHttpApi(plane, silentLogger, { token: TOKEN });
    const offering = (token: string) => ({
      upgrade: 'websocket',
      'sec-websocket-protocol': `v5.channel.k8s.io, ${TOKEN_PROTOCOL_PREFIX}${Buffer.from(token).toString('base64url')}`,
    });
    const right = await app.inject({ url: '/v1/guests', headers: offering(TOKEN) });
    assert.is(right.statusCode, 200);
    assert.is(right.raw.req.headers['sec-websocket-protocol'], 'v5.channel.k8s.io');
    const wrong = await app.inject({ url: '/v1/guests', headers: offering('x'.repeat(TOKEN.length)) });
    assert.is(wrong.statusCode, 401);
    const { upgrade: _none, ...plain } = offering(TOKEN);
    assert.is((await app.inject({ url: '/v1/guests', headers: plain })).statusCode, 401);
    await app.close();
  });
});

/** A certificate authority, and certificates it signed. */
async function makeCertificates() {
  const directory = tempDirectory('tls');
  const openssl = (...args: string[]) => execa('openssl', args, { cwd: directory });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const self = (name: string) => ['-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`];
  await openssl('req', '-x509', ...curve, ...self('ca'), '-days', '2');
  const local = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  const byCa = ['-CA', 'ca.pem', '-CAkey', 'ca.key'];
  for (const name of ['server', 'client']) {
    await openssl('req', '-x509', ...curve, ...self(name), ...byCa, ...local, '-days', '2');
  }
  await openssl('req', '-x509', ...curve, ...self('stranger'), ...local, '-days', '2');
  const read = (file: string) => readFileSync(join(directory, file), 'utf8');
  const pair = (name: string) => ({ cert: read(`${name}.pem`), key: read(`${name}.key`) });
  return { ca: read('ca.pem'), server: pair('server'), client: pair('client'), stranger: pair('stranger') };
}

test('what a browser with a certificate asks for another site’s page is refused', async () => {
  const { ca, server } = await makeCertificates();
  await withPlane(async (plane) => {
    const app = await createHttpApi(plane, silentLogger, { tls: { ...server, clientCa: ca } });
    const statusWith = async (headers: Record<string, string>) =>
      (await app.inject({ method: 'POST', url: '/v1/guests/none/cordon', headers })).statusCode;
    assert.is(await statusWith({ host: 'plane:8600' }), 404);
    assert.is(await statusWith({ host: 'plane:8600', origin: 'https://plane:8600' }), 404);
    for (const origin of ['https://elsewhere.example', 'https://plane:8601', 'null']) {
      assert.is(await statusWith({ host: 'plane:8600', origin }), 401, origin);
    }
    await app.close();
  });
});

test('with mutual TLS only a certificate of the right authority comes in', async () => {
  const { ca, server, client, stranger } = await makeCertificates();
  await withListeners({ tls: { ...server, clientCa: ca } }, async ({ port }) => {
    const url = `https://127.0.0.1:${port}`;
    assert.is(await outcomeAt({ url, tls: { ca, ...client } }), 'ok');
    assert.is(await outcomeAt({ url, tls: { ca } }), 'not_found');
    assert.is(await outcomeAt({ url, tls: { ca, ...stranger } }), 'not_found');
    assert.is(await outcomeAt({ url: `http://127.0.0.1:${port}` }), 'not_found');
  });
});

test.run();
