/** Requests to the plane's API from the page. */
import { token } from './token.ts';

/** What the plane answers when it refuses: problem+json. Status 0: it gave no answer. */
export class Problem extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** To be answered at once, with the operation to ask about. */
export const RESPOND_ASYNC = { prefer: 'respond-async' };

export async function call<T>(
  method: Method,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<T> {
  const response = await send(method, path, { body, headers });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The first of a list, as many as the plane gives at once. */
export async function list<T>(path: string, query = ''): Promise<T[]> {
  return (await call<{ items: T[] }>('GET', `${path}?limit=1000${query}`)).items;
}

/** Text as it comes, until the answer ends or the signal says so. */
export async function follow(
  path: string,
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await send('GET', path, { signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onText(value);
  }
}

/** The same as lines of JSON. */
export function followLines<T>(path: string, onLine: (line: T) => void, signal: AbortSignal): Promise<void> {
  let rest = '';
  const onText = (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(JSON.parse(line) as T);
  };
  return follow(path, onText, signal);
}

/** A name or an id as one part of a path. */
export const part = encodeURIComponent;

interface Sent {
  body?: object | undefined;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

async function send(method: Method, path: string, { body, headers, signal }: Sent): Promise<Response> {
  const bearer = token();
  const response = await fetch(path, {
    method,
    headers: {
      ...headers,
      ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  }).catch((error: Error) => {
    throw new Problem(0, error.message);
  });
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  throw new Problem(response.status, problem.detail ?? `${method} ${path}: status ${response.status}`);
}
