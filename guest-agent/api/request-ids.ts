/** The header that names a request, for every call that changes something and is answered as JSON. */
import { Value } from 'typebox/value';
import { agentCalls, REQUEST_ID_HEADER, RequestId } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import { createRequestAnswers } from '../request-answers.ts';
import type { App } from './server.ts';

const key = (method: unknown, path: string) => `${String(method)} ${path}`;
const CHANGES: ReadonlySet<string> = new Set(
  Object.values(agentCalls)
    .filter(({ method }) => method !== 'GET')
    .map(({ method, path }) => key(method, path)),
);

/** To be called before the routes are added. */
export function answerOnce(app: App, nowMs: () => number): void {
  const answers = createRequestAnswers({ nowMs });
  app.addHook('onRoute', (route) => {
    if (!CHANGES.has(key(route.method, route.url))) return;
    const { handler } = route;
    route.handler = function once(request, reply) {
      const subject = `${request.method} ${request.url}`;
      const id = idOf(request.headers[REQUEST_ID_HEADER], subject);
      return answers.once(id, subject, async () => handler.call(this, request, reply));
    };
  });
}

/** @throws {OffloadError} invalid_request for what is no id */
function idOf(header: string | string[] | undefined, subject: string): string | undefined {
  if (header === undefined || Value.Check(RequestId, header)) return header;
  throw new OffloadError(
    'invalid_request',
    `${subject}: ${REQUEST_ID_HEADER} is not 1 to 64 of A-Z, a-z, 0-9, - and _`,
  );
}
