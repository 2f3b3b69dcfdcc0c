/** What it takes to listen on TCP: a token, a certificate that clients must have, or both. */
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { OffloadError } from '../../platform/errors.ts';
import type { HttpApiOptions, TlsFiles } from './server.ts';

export interface TcpFlags {
  /** `address:port`, an IPv6 address in brackets. */
  listen?: string;
  tokenFile?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsClientCa?: string;
}

export interface TcpListener {
  address: string;
  port: number;
  options: HttpApiOptions;
}

const MIN_TOKEN_LENGTH = 32;
const MAX_TOKEN_LENGTH = 512;
const LOOPBACK = /^(127\.|::1$)/;

/** @throws {OffloadError} invalid_request for what would let anyone in, or send a token in the clear */
export async function tcpListenerOf(flags: TcpFlags): Promise<TcpListener | undefined> {
  const { listen, tokenFile, tlsCert, tlsKey, tlsClientCa } = flags;
  if (listen === undefined) {
    const extra = [tokenFile, tlsCert, tlsKey, tlsClientCa].some((value) => value !== undefined);
    if (extra) throw refusal('--token-file and --tls-… are for --listen, which is missing');
    return undefined;
  }
  const { address, port } = parseListen(listen);
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw refusal('--tls-cert and --tls-key go together');
  if (tlsClientCa !== undefined && tlsCert === undefined) throw refusal('--tls-client-ca needs --tls-cert');
  if (tokenFile === undefined && tlsClientCa === undefined) {
    throw refusal(`listen on ${listen}: --token-file or --tls-client-ca has to say who may come in`);
  }
  if (tlsCert === undefined && !LOOPBACK.test(address)) {
    throw refusal(
      `listen on ${listen}: without --tls-cert only a loopback address, the token would be readable`,
    );
  }
  return {
    address,
    port,
    options: {
      ...(tokenFile === undefined ? {} : { token: await readToken(tokenFile) }),
      ...(tlsCert === undefined || tlsKey === undefined
        ? {}
        : { tls: await readTls(tlsCert, tlsKey, tlsClientCa) }),
    },
  };
}

function refusal(message: string): OffloadError {
  return new OffloadError('invalid_request', message);
}

function parseListen(listen: string): { address: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(listen) ?? [];
  const address = bracketed ?? plain ?? '';
  const port = Number(digits);
  if (isIP(address) === 0 || !(port <= 65_535)) {
    throw refusal(`--listen ${listen}: expected address:port, such as 127.0.0.1:8600 or [::1]:8600`);
  }
  return { address, port };
}

async function readToken(path: string): Promise<string> {
  const { mode } = await stat(path).catch(unreadable('token file', path));
  if ((mode & 0o077) !== 0) {
    throw refusal(`token file ${path}: others may read it (mode ${(mode & 0o777).toString(8)}, not 600)`);
  }
  const token = (await readFile(path, 'utf8')).trim();
  if (token.length < MIN_TOKEN_LENGTH || token.length > MAX_TOKEN_LENGTH || !/^[\w.~+/=-]+$/.test(token)) {
    throw refusal(
      `token file ${path}: expected ${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH} letters, digits or -._~+/=`,
    );
  }
  return token;
}

async function readTls(certPath: string, keyPath: string, caPath?: string): Promise<TlsFiles> {
  const read = (path: string) => readFile(path, 'utf8').catch(unreadable('TLS file', path));
  const [cert, key, clientCa] = await Promise.all([
    read(certPath),
    read(keyPath),
    caPath === undefined ? undefined : read(caPath),
  ]);
  return { cert, key, ...(clientCa === undefined ? {} : { clientCa }) };
}

const unreadable = (what: string, path: string) => (error: Error) => {
  throw refusal(`${what} ${path}: ${error.message}`);
};
