/** One request and its answer, on a stream of HTTP/2: the schemas hold before anything is done. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { pipeline, Readable } from 'node:stream';
import type { TObject, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { REQUEST_ID_HEADER } from '../../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import { KIB } from '../../platform/units.ts';
import type { RequestAnswers } from '../request-answers.ts';
import { requestId } from './request-ids.ts';
import type { Asked, Match, Router } from './router.ts';

const MAX_BODY_BYTES = 1024 * KIB;

export interface ExchangeDeps {
  router: Router;
  answers: RequestAnswers;
  nowMs: () => number;
}

/** Never rejects: what goes wrong is the answer. */
export async function answerRequest(
  deps: ExchangeDeps,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): Promise<void> {
  const startMs = deps.nowMs();
  const subject = `${headers[':method']} ${headers[':path']}`;
  const send = (status: number, answer: unknown) => {
    // The plane puts it into the trace of whoever asked.
    const timing = `agent;dur=${(deps.nowMs() - startMs).toFixed(3)}`;
    sendJson(stream, status, answer, timing);
  };
  try {
    const answer = await act(deps, stream, headers, subject);
    if (answer !== undefined) send(200, answer);
  } catch (error) {
    const { status, code, message } = toOffloadError(error, subject);
    send(status, { code, message });
  }
}

async function act(
  { router, answers }: ExchangeDeps,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  subject: string,
): Promise<unknown> {
  const [path, search] = splitOnce(String(headers[':path']), '?');
  const match = router.find(String(headers[':method']), path);
  if (!match) throw new OffloadError('not_found', `${subject}: no such call`);
  const { route } = match;
  const id = route.isChange ? requestId(headers[REQUEST_ID_HEADER], subject) : undefined;
  const asked: Asked = {
    params: fromText(route.params, paramsOf(match, subject), `${subject}: path`),
    query: fromText(route.query, Object.fromEntries(new URLSearchParams(search)), `${subject}: query`),
    body: route.body && fitting(route.body, parse(await readBody(stream, subject), subject), subject),
    requestId: id,
    stream,
  };
  if (!route.isChange) return route.handle(asked);
  return answers.once(id, subject, async () => route.handle(asked));
}

/** Nothing is answered twice, nor to nobody. A part of an answer is no answer. */
function sendJson(stream: ServerHttp2Stream, status: number, answer: unknown, timing: string): void {
  if (stream.headersSent) stream.destroy();
  if (stream.destroyed) return;
  stream.respond({ ':status': status, 'content-type': 'application/json', 'server-timing': timing });
  stream.end(JSON.stringify(answer));
  // What else was sent is read by nobody.
  stream.resume();
}

/** Answers with bytes. A source that fails before its first has not answered yet, a later one resets the stream. */
export async function sendBytes(
  stream: ServerHttp2Stream,
  contentType: string,
  source: Readable,
): Promise<void> {
  const bytes = source[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>;
  const first = await bytes.next();
  if (!stream.destroyed) stream.respond({ ':status': 200, 'content-type': contentType });
  const all = async function* () {
    if (!first.done) yield first.value;
    yield* bytes;
  };
  pipeline(all, stream, () => source.destroy());
}

/** The request's bytes; whoever reads only a part of them has not cut off the answer. */
export const incoming = (stream: ServerHttp2Stream): Readable =>
  Readable.from(stream.iterator({ destroyOnReturn: false }), { objectMode: false });

function readBody(stream: ServerHttp2Stream, subject: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      else {
        chunks.length = 0;
        reject(new OffloadError('body_too_large', `${subject}: over ${MAX_BODY_BYTES} bytes`));
      }
    });
    stream.once('end', () => resolve(Buffer.concat(chunks).toString()));
    stream.once('close', () => reject(new OffloadError('invalid_request', `${subject}: cut off`)));
  });
}

function parse(text: string, subject: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new OffloadError('invalid_request', `${subject}: ${(error as Error).message}`);
  }
}

function paramsOf({ params }: Match, subject: string): Record<string, string> {
  try {
    return Object.fromEntries(Object.entries(params).map(([name, text]) => [name, decodeURIComponent(text)]));
  } catch {
    throw new OffloadError('invalid_request', `${subject}: not percent-encoded`);
  }
}

/** A word becomes what the schema of its field wants, where it is that, and a missing one what it says. */
function fromText(schema: TObject | undefined, words: Record<string, string>, subject: string): unknown {
  if (!schema) return undefined;
  const values: Record<string, unknown> = { ...words };
  for (const [name, field] of Object.entries(schema.properties)) {
    const { type, default: otherwise } = field as { type?: string; default?: unknown };
    const word = words[name];
    if (word === undefined) {
      if (otherwise !== undefined) values[name] = otherwise;
    } else if (type === 'integer' && /^\d{1,15}$/.test(word)) values[name] = Number(word);
    else if (type === 'boolean' && /^(true|false)$/.test(word)) values[name] = word === 'true';
  }
  return fitting(schema, values, subject);
}

/** @throws {OffloadError} invalid_request with the field */
function fitting(schema: TSchema, value: unknown, subject: string): unknown {
  if (Value.Check(schema, value)) return value;
  // An unknown field is named twice: as one that `false` forbids, and by its owner.
  const errors = [...Value.Errors(schema, value)].filter(({ keyword }) => keyword !== 'boolean');
  const { instancePath = '', message = 'does not fit', params = {} } = errors[0] ?? {};
  const fields = 'additionalProperties' in params ? ` (${String(params.additionalProperties)})` : '';
  const where = instancePath === '' ? '' : `${instancePath.slice(1).replaceAll('/', '.')} `;
  throw new OffloadError('invalid_request', `${subject}: ${where}${message}${fields}`);
}

function splitOnce(text: string, at: string): [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
}
