/**
 * `Idempotency-Key` on POST: the same key and request get the first answer, from whichever plane gave it;
 * another request with the key is refused. Failures of ours (5xx) are not kept: the request may be tried again.
 */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OffloadError } from '../../platform/errors.ts';
import type { Answer, Answers, Result } from '../operations/answers.ts';
import type { App } from './server.ts';

const KEY = /^[\x21-\x7e]{1,255}$/;
const KEPT_HEADERS = ['content-type', 'location', 'preference-applied'];

interface Held {
  key: string;
  /** Resolves when the first answer is on record, or there will be none. */
  answered: PromiseWithResolvers<void>;
}

/** @param isUnfinished whether something is still to be finished for the request with this key, which was cut off */
export function addIdempotency(
  app: App,
  answers: Answers,
  isUnfinished: (key: string) => boolean = () => false,
): void {
  const underWay = new Map<string, Promise<void>>();
  const held = new WeakMap<FastifyRequest, Held>();

  app.addHook('preHandler', (request, reply, done) => {
    const key = request.headers['idempotency-key'];
    if (request.method !== 'POST' || key === undefined) return done();
    admit(request, reply, String(key), done).catch((error: Error) => done(error));
  });

  async function admit(request: FastifyRequest, reply: FastifyReply, key: string, done: () => void) {
    if (!KEY.test(key)) {
      throw new OffloadError('invalid_request', 'Idempotency-Key: expected 1 to 255 visible characters');
    }
    const fingerprint = fingerprintOf(request);
    for (let first = underWay.get(key); first; first = underWay.get(key)) await first;
    const known = answers.look(key, fingerprint);
    if (known.phase === 'other_request') {
      throw new OffloadError(
        'idempotency_mismatch',
        `Idempotency-Key ${key}: it was used for another request`,
      );
    }
    if (known.phase === 'answered') return replay(reply, known.answer);
    if (known.phase === 'cut_off' && known.result) {
      const answer = await answerOf(request, known.result);
      answers.keep(key, answer);
      return replay(reply, answer);
    }
    if (known.phase === 'cut_off' && isUnfinished(key)) {
      throw new OffloadError(
        'interrupted',
        `Idempotency-Key ${key}: its request was cut off, and is finished or undone once its guest is reached; ask again`,
      );
    }
    answers.begin(key, fingerprint);
    const answered = Promise.withResolvers<void>();
    held.set(request, { key, answered });
    underWay.set(key, answered.promise);
    answers.within(key, done);
  }

  /** What the request made before the plane ended, as it is now. */
  async function answerOf(request: FastifyRequest, { path, status }: Result): Promise<Answer> {
    const authorization = request.headers.authorization;
    const response = await app.inject({ url: path, headers: authorization ? { authorization } : {} });
    const found = response.statusCode < 400;
    return {
      status: found ? status : response.statusCode,
      headers: { 'content-type': String(response.headers['content-type'] ?? 'application/json') },
      body: response.body,
    };
  }

  app.addHook('onSend', (request, reply, payload, done) => {
    const entry = held.get(request);
    if (entry) {
      held.delete(request);
      underWay.delete(entry.key);
      const isText = typeof payload === 'string' || payload === null || payload === undefined;
      if (reply.statusCode < 500 && isText) answers.keep(entry.key, answerFrom(reply, payload as string));
      else answers.forget(entry.key);
      entry.answered.resolve();
    }
    done(null, payload);
  });
}

function answerFrom(reply: FastifyReply, body: string | null | undefined): Answer {
  const headers: Record<string, string> = {};
  for (const name of KEPT_HEADERS) {
    const value = reply.getHeader(name);
    if (value !== undefined) headers[name] = String(value);
  }
  return { status: reply.statusCode, headers, body: body ?? '' };
}

function replay(reply: FastifyReply, { status, headers, body }: Answer): void {
  void reply
    .code(status)
    .headers({ ...headers, 'idempotency-replayed': 'true' })
    .send(body);
}

/** A body that streams in is known by its kind and length. */
function fingerprintOf({ method, url, body, headers }: FastifyRequest): string {
  const isStream = typeof (body as { pipe?: unknown } | undefined)?.pipe === 'function';
  const content = isStream ? [headers['content-type'], headers['content-length']] : (body ?? null);
  const prefer = headers.prefer ?? '';
  return createHash('sha256')
    .update(JSON.stringify([method, url, prefer, content]))
    .digest('hex');
}
