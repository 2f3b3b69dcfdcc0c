/** The agent's API: fastify over HTTP/2 without TLS, on connections that the vsock listener hands in. */
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyError } from 'fastify';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Agent } from '../agent.ts';
import { checkpointRoutes } from './checkpoint-routes.ts';
import { containerRoutes } from './container-routes.ts';
import { answerOnce } from './request-ids.ts';
import { stdioRoutes } from './stdio-routes.ts';
import { streamRoutes } from './stream-routes.ts';

const MAX_BODY_BYTES = 1024 * 1024;
/** One plane, one connection; a few more while an old one is dying. */
const MAX_CONNECTIONS = 8;
const MAX_STREAMS = 1024;
/**
 * What the plane may send unasked, a stream and a connection. Larger than HTTP/2's 64 KiB, which would hold
 * an upload to one window a round trip; the other way the defaults stay (see agent-client.ts).
 */
const STREAM_WINDOW_BYTES = 2 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024;

export interface ApiServer {
  accept(socket: Duplex): void;
}

function createApp(server: { current?: http2.Http2Server }) {
  return fastify({
    http2: true,
    bodyLimit: MAX_BODY_BYTES,
    logger: false,
    ajv: { customOptions: { removeAdditional: false } },
    serverFactory: (handler) => {
      server.current = http2.createServer(
        { settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: STREAM_WINDOW_BYTES } },
        handler as never,
      );
      server.current.on('session', (session) => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
      return server.current as never;
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
}
export type App = ReturnType<typeof createApp>;

export async function createApiServer(agent: Agent): Promise<ApiServer> {
  const server: { current?: http2.Http2Server } = {};
  const app = createApp(server);
  // Streamed bodies are not fastify's to read: routes take them from the raw stream.
  for (const type of ['application/octet-stream', 'application/x-tar']) {
    app.addContentTypeParser(type, (_request, payload, done) => done(null, payload));
  }
  // The plane puts it into the trace of whoever asked.
  app.addHook('onSend', async (_request, reply) => {
    reply.header('server-timing', `agent;dur=${reply.elapsedTime.toFixed(3)}`);
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    // fastify's own refusals (a body that does not fit, a broken JSON) are the caller's errors.
    const refused =
      !(error instanceof OffloadError) && error.statusCode !== undefined && error.statusCode < 500;
    const known = refused
      ? new OffloadError('invalid_request', `${request.method} ${request.url}: ${error.message}`)
      : toOffloadError(error, `${request.method} ${request.url}`);
    void reply.code(known.status).send({ code: known.code, message: known.message });
  });
  app.setNotFoundHandler((request, reply) => {
    void reply
      .code(404)
      .send({ code: 'not_found', message: `${request.method} ${request.url}: no such call` });
  });
  answerOnce(app, () => performance.now());
  containerRoutes(app, agent);
  checkpointRoutes(app, agent);
  streamRoutes(app, agent);
  stdioRoutes(app, agent);
  await app.ready();

  const connections = new Set<Duplex>();
  return {
    accept(socket) {
      if (connections.size >= MAX_CONNECTIONS) {
        socket.destroy();
        return;
      }
      connections.add(socket);
      socket.once('close', () => connections.delete(socket));
      socket.on('error', () => socket.destroy());
      server.current?.emit('connection', socket);
    },
  };
}
