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

/** Below these nothing is answered without the token. */
const GUARDED = /^\/(v1|metrics)(\/|\?|$)/;

export async function requireToken(app: App, token: string): Promise<void> {
  await app.register(bearerAuth, { keys: new Set([token]), addHook: false, verifyErrorLogLevel: 'debug' });
  const verify = app.verifyBearerAuth;
  if (!verify) throw new OffloadError('internal', 'guard the API: @fastify/bearer-auth has no verifier');
  app.addHook('onRequest', (request, reply, done) => {
    if (!GUARDED.test(request.url)) return done();
    takeTokenOfProtocol(request);
    verify(request, reply, (error?: Error) => {
      if (!error) return done();
      void reply.header('www-authenticate', 'Bearer realm="offload-plane"');
      const operation = `${request.method} ${request.routeOptions.url ?? 'unknown'}`;
      sendProblem(reply, new OffloadError('unauthorized', `${operation}: ${error.message}`));
    });
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
