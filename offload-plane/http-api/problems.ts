/** Every failure as application/problem+json (RFC 9457), from the one table of errors. */
import type { FastifyError, FastifyReply } from 'fastify';
import { type ErrorCode, OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Logger } from '../logger.ts';
import type { App } from './server.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** The body that tells of an error. */
export const problemOf = ({ code, status, message }: OffloadError) => ({
  type: `urn:offload:error:${code}`,
  title: code,
  status,
  detail: message,
});

export function sendProblem(reply: FastifyReply, error: OffloadError): void {
  void reply.code(error.status).type(PROBLEM_TYPE).send(problemOf(error));
}

/** Answers what handlers throw, and requests that no route has. */
export function answerProblems(app: App, logger: Logger): void {
  const methodsOf = collectMethods(app);
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = clientError(error, `${request.method} ${request.url}`);
    if (known.status >= 500) logger[levelOf(known)]({ err: error, url: request.url }, known.message);
    sendProblem(reply, known);
  });
  app.setNotFoundHandler((request, reply) => {
    const operation = `${request.method} ${request.url}`;
    const allowed = methodsOf(request.url);
    if (allowed.length > 0) {
      void reply.header('allow', allowed.join(', '));
      const message = `${operation}: the resource takes ${allowed.join(', ')} only`;
      throw new OffloadError('method_not_allowed', message);
    }
    throw new OffloadError('not_found', `${operation}: there is no such resource`);
  });
}

/** Of the plane itself; what guests, registries, a full disk or a new start bring about is met as it should be. */
const DEFECTS: readonly ErrorCode[] = ['internal', 'unusable_state'];
const levelOf = ({ code }: OffloadError) => (DEFECTS.includes(code) ? 'error' : 'warn');

/** Which methods there are for a URL. */
function collectMethods(app: App): (url: string) => string[] {
  const routes: { pattern: RegExp; methods: string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = new RegExp(`^${url.replace(/[.]/g, '\\.').replace(/:\w+|\*/g, '[^/]+')}$`);
    routes.push({ pattern, methods: [method].flat() });
  });
  return (url) => {
    const path = url.split('?', 1)[0] ?? '';
    const methods = routes.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods);
    return [...new Set(methods)].sort();
  };
}

const CODE_OF_STATUS = { 413: 'body_too_large', 415: 'unsupported_media_type' } as const;

/** fastify's own refusals (a body that does not fit, a broken JSON) are the client's errors. */
export function clientError(error: FastifyError, operation: string): OffloadError {
  if (error instanceof OffloadError) return error;
  const { statusCode, message } = error;
  if (error.validation) return new OffloadError('invalid_request', `${operation}: ${mismatchOf(error)}`);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const code = CODE_OF_STATUS[statusCode as keyof typeof CODE_OF_STATUS] ?? 'invalid_request';
    return new OffloadError(code, `${operation}: ${message}`);
  }
  return toOffloadError(error, operation);
}

/** A choice of words fails once for each word: they are told as one. */
function mismatchOf({ validation = [], validationContext, message }: FastifyError): string {
  const choice = validation.at(-1);
  const words = validation.slice(0, -1);
  if (choice?.keyword !== 'anyOf' || !words.every(({ keyword }) => keyword === 'const')) return message;
  const allowed = words.map(({ params }) => String(params.allowedValue));
  return `${validationContext}${choice.instancePath} must be one of ${allowed.join(', ')}`;
}
