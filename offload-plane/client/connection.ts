/** Requests to a plane's HTTP API: JSON in, JSON out, and its problems as the errors they were. */

import { setMaxListeners } from 'node:events';
import type { Readable } from 'node:stream';
import { Agent, type Dispatcher, request } from 'undici';
import { ERROR_STATUS, type ErrorCode, OffloadError } from '../../platform/errors.ts';
import { type LongCall, postWatched, type Watcher } from './long-calls.ts';

/** The plane bounds every call itself; this is for a plane that has stopped answering. */
const ANSWER_TIMEOUT_MS = 30 * 60_000;
const MAX_CONNECTIONS = 64;
const PAGE_SIZE = 1_000;

/** A plane on this machine, or one that listens on TCP (https: PEM texts, as node:tls takes them). */
export type PlaneAddress =
  | { socketPath: string }
  | { url: string; token?: string; tls?: { ca?: string; cert?: string; key?: string } };

export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

export interface Sent {
  method: Dispatcher.HttpMethod;
  path: string;
  query?: Query | undefined;
  headers?: Record<string, string> | undefined;
  /** An object goes as JSON, a stream or bytes as they are. */
  body?: object | Readable | Buffer;
  signal?: AbortSignal;
}

export interface PlaneConnection {
  readonly address: PlaneAddress;
  get<T>(path: string, query?: Query): Promise<T>;
  /** All items of a list, page by page. */
  list<T>(path: string, query?: Query): Promise<T[]>;
  post<T>(path: string, body?: object): Promise<T>;
  /** A call that may take long: watched where the connection was given a watcher. */
  postLong<T>(path: string, body: object): Promise<T>;
  /** The same, of a tar. */
  upload<T>(call: LongCall & { body: Readable }): Promise<T>;
  /** Who hears of the progress of long calls. */
  readonly watcher: Watcher | undefined;
  put<T>(path: string, body?: object): Promise<T>;
  remove(path: string, query?: Query): Promise<void>;
  /** Any request; its answer is not read yet. */
  send(sent: Sent): Promise<Dispatcher.ResponseData>;
  readonly closed: boolean;
  /** Ends what is under way too: events and logs that are followed end as if there were no more. */
  close(): Promise<void>;
}

export function connectPlane(address: PlaneAddress, watcher?: Watcher): PlaneConnection {
  const isLocal = 'socketPath' in address;
  const [origin, place] = isLocal ? ['http://plane', address.socketPath] : [address.url, address.url];
  const authorization = authorizationOf(address);
  const dispatcher = new Agent({
    connect: isLocal ? { socketPath: address.socketPath } : { ...address.tls },
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
    connections: MAX_CONNECTIONS,
  });

  const closing = new AbortController();
  // Each call listens.
  setMaxListeners(0, closing.signal);

  async function send(sent: Sent): Promise<Dispatcher.ResponseData> {
    const { method, path, query = {}, headers, body, signal } = sent;
    const response = await request(`${origin}${path}${search(query)}`, {
      dispatcher,
      method,
      headers: {
        ...authorization,
        ...(isJson(body) ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isJson(body) ? JSON.stringify(body) : (body as Buffer) }),
      signal: signal ? AbortSignal.any([signal, closing.signal]) : closing.signal,
    }).catch((error: Error) => {
      throw new OffloadError('not_found', `plane at ${place}: ${error.message}`, { cause: error });
    });
    if (response.statusCode >= 400) {
      throw problem(await response.body.text(), `${method} ${path}`, response.statusCode);
    }
    return response;
  }
  const json = async <T>(sent: Sent) => (await (await send(sent)).body.json()) as T;

  async function list<T>(path: string, query: Query = {}): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | undefined;
    do {
      const page = await json<{ items: T[]; next?: string }>({
        method: 'GET',
        path,
        query: { limit: PAGE_SIZE, ...query, cursor },
      });
      items.push(...page.items);
      cursor = page.next;
    } while (cursor !== undefined);
    return items;
  }

  const connection: PlaneConnection = {
    address,
    send,
    list,
    get: (path, query = {}) => json({ method: 'GET', path, query }),
    post: (path, body) => json({ method: 'POST', path, ...(body ? { body } : {}) }),
    postLong: (path, body) =>
      watcher ? postWatched(connection, { path, body }, watcher) : connection.post(path, body),
    upload(call) {
      const { totalBytes } = call.upload ?? {};
      const headers = {
        'content-type': 'application/x-tar',
        ...(totalBytes === undefined ? {} : { 'content-length': String(totalBytes) }),
      };
      const sent = { ...call, headers };
      return watcher ? postWatched(connection, sent, watcher) : json({ ...sent, method: 'POST' });
    },
    watcher,
    put: (path, body) => json({ method: 'PUT', path, ...(body ? { body } : {}) }),
    async remove(path, query = {}) {
      await (await send({ method: 'DELETE', path, query })).body.dump();
    },
    get closed() {
      return closing.signal.aborted;
    },
    async close() {
      closing.abort(new OffloadError('cancelled', `plane at ${place}: the client was closed`));
      await dispatcher.close();
    },
  };
  return connection;
}

/** What proves to a plane on TCP who asks. */
export function authorizationOf(address: PlaneAddress): Record<string, string> {
  return 'url' in address && address.token !== undefined ? { authorization: `Bearer ${address.token}` } : {};
}

/** A name or an id as one part of a path. */
export const part = (value: string): string => encodeURIComponent(value);

export function search(query: Query): string {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const one of value === undefined ? [] : [value].flat()) given.append(key, String(one));
  }
  return given.size === 0 ? '' : `?${given}`;
}

function isJson(body: Sent['body']): boolean {
  return body !== undefined && !Buffer.isBuffer(body) && !('pipe' in body);
}

/** A problem+json body as the error it was. */
export function problem(text: string, operation: string, status: number): OffloadError {
  try {
    const { title, detail } = JSON.parse(text) as { title: string; detail: string };
    if (Object.hasOwn(ERROR_STATUS, title)) return new OffloadError(title as ErrorCode, detail);
  } catch {
    // No problem+json: said below.
  }
  return new OffloadError('internal', `${operation}: the plane answered with status ${status}`);
}
