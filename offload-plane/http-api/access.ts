/**
 * Who may use a plane over TCP: whoever has the token. Over the Unix socket it is the file's mode that
 * decides. The pages of the dashboard hold nothing and are open; what they show has to be asked for.
 */
import bearerAuth from '@fastify/bearer-auth';
import type { FastifyRequest } from 'fastify';
import { OffloadError } from '../../platform/errors.ts';
import { sendProblem } from './problems.ts';
import type { App } from './server.ts';

/** As Kubernetes has it: browsers can give a WebSocket no header, but a protocol. */
export const TOKEN_PROTOCOL_PREFIX = 'base64url.bearer.authorization.k8s.io.';

/** The dashboard's routes: every other one, and what is none, is answered with the token only. */
const OPEN_ROUTES: ReadonlySet<string | undefined> = new Set(['/', '/assets/:file']);

export async function requireToken(app: App, token: string): Promise<void> {
  await app.register(bearerAuth, { keys: new Set([token]), addHook: false, verifyErrorLogLevel: 'debug' });
  const verify = app.verifyBearerAuth;
  if (!verify) throw new OffloadError('internal', 'guard the API: @fastify/bearer-auth has no verifier');
  app.addHook('onRequest', (request, reply, done) => {
    // By the route that was found: a path can be spelt in many ways.
    if (OPEN_ROUTES.has(request.routeOptions.url)) return done();
    takeTokenOfProtocol(request);
    verify(request, reply, (error?: Error) => {
      if (!error) return done();
      void reply.header('www-authenticate', 'Bearer realm="offload-plane"');
      const operation = `${request.method} ${request.routeOptions.url ?? 'unknown'}`;
      sendProblem(reply, new OffloadError('unauthorized', `${operation}: ${error.message}`));
    });
  });
}

/**
 * A browser shows its certificate whoever's page asks: a WebSocket or a POST that another site's page makes
 * would be let in. (A token is different: only a page of the plane's has it.)
 */
export function refuseForeignPages(app: App): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { origin, host } = request.headers;
    if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return done();
    const operation = `${request.method} ${request.routeOptions.url ?? 'unknown'}`;
    sendProblem(reply, new OffloadError('unauthorized', `${operation}: asked by a page of another origin`));
  });
}

/** Puts the token of a WebSocket's protocols where the verifier looks for it. */
function takeTokenOfProtocol({ raw }: FastifyRequest): void {
  if (raw.headers.authorization !== undefined || raw.headers.upgrade?.toLowerCase() !== 'websocket') return;
  const offered = (raw.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const carrier = offered.find((name) => name.startsWith(TOKEN_PROTOCOL_PREFIX));
  if (carrier === undefined) return;
  const token = Buffer.from(carrier.slice(TOKEN_PROTOCOL_PREFIX.length), 'base64url').toString();
  raw.headers.authorization = `Bearer ${token}`;
  // Not to be chosen as the connection's protocol, nor written into a log.
  const others = offered.filter((name) => name !== carrier);
  if (others.length > 0) raw.headers['sec-websocket-protocol'] = others.join(', ');
  else delete raw.headers['sec-websocket-protocol'];
}
