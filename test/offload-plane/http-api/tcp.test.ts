import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TcpFlags, tcpListenerOf } from '../../../offload-plane/http-api/tcp.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const TOKEN = 'a'.repeat(43);

function place(content: string, mode = 0o600): string {
  const path = join(tempDirectory('tcp'), 'file');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

test('without --listen there is no TCP, and its other flags are refused', async () => {
  assert.is(await tcpListenerOf({}), undefined);
  assert.match(await refusalOf({ tokenFile: place(TOKEN) }), /for --listen, which is missing/);
});

test('TCP takes a token or a client certificate authority, nothing less', async () => {
  const [certFile, keyFile, caFile] = [place('cert'), place('key'), place('ca')];
  assert.match(await refusalOf({ listen: '127.0.0.1:0' }), /--token-file or --tls-client-ca/);
  const tls = { tlsCert: certFile, tlsKey: keyFile };
  assert.match(await refusalOf({ listen: '127.0.0.1:0', ...tls }), /--token-file or --tls-client-ca/);
  assert.equal(await tcpListenerOf({ listen: '127.0.0.1:8600', tokenFile: place(`${TOKEN}\n`) }), {
    address: '127.0.0.1',
    port: 8600,
    options: { token: TOKEN },
  });
  assert.equal(await tcpListenerOf({ listen: '[2001:db8::1]:1', ...tls, tlsClientCa: caFile }), {
    address: '2001:db8::1',
    port: 1,
    options: { tls: { cert: 'cert', key: 'key', clientCa: 'ca' } },
  });
});

test('a token does not leave the machine in the clear', async () => {
  const flags = { listen: '192.0.2.1:8600', tokenFile: place(TOKEN) };
  assert.match(await refusalOf(flags), /without --tls-cert only a loopback address/);
});

test('a token file that others may read, or without a good token, is refused by name', async () => {
  const listen = '[::1]:0';
  for (const [path, reason] of [
    [place(TOKEN, 0o644), /others may read it \(mode 644/],
    [place('short'), /expected 32 to 512/],
    [place(`${'a'.repeat(40)} b`), /expected 32 to 512/],
    ['/nowhere/token', /ENOENT/],
  ] as const) {
    const message = await refusalOf({ listen, tokenFile: path });
    assert.match(message, reason);
    assert.ok(message.includes(path));
  }
});

test('what is no address and port, and half a certificate, are refused', async () => {
  const tokenFile = place(TOKEN);
  for (const listen of ['8600', 'localhost:8600', '127.0.0.1:70000', '[127.0.0.1', '']) {
    assert.match(await refusalOf({ listen, tokenFile }), /expected address:port/);
  }
  const listen = '127.0.0.1:0';
  assert.match(await refusalOf({ listen, tokenFile, tlsCert: place('x') }), /go together/);
  assert.match(await refusalOf({ listen, tokenFile, tlsClientCa: place('x') }), /needs --tls-cert/);
});

async function refusalOf(flags: TcpFlags): Promise<string> {
  const outcome = await tcpListenerOf(flags).catch((error: Error) => error);
  assert.instance(outcome, Error, JSON.stringify(flags));
  return (outcome as Error).message;
}

test.run();
