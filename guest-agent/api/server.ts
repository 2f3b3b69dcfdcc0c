/**
 * The agent's API: HTTP/2 without TLS, on connections that the vsock listener hands in. On Node's own streams:
 * a framework costs each guest 8 MiB, and each start of an agent most of its time.
 */
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { PEER_TIMEOUT_MS, watchPeer } from '../../interconnect/peer-watch.ts';
import type { Agent } from '../agent.ts';
import { createRequestAnswers } from '../request-answers.ts';
import { checkpointRoutes } from './checkpoint-routes.ts';
import { containerRoutes } from './container-routes.ts';
import { answerRequest } from './exchange.ts';
import { createRouter } from './router.ts';
import { stdioRoutes } from './stdio-routes.ts';
import { streamRoutes } from './stream-routes.ts';

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

export interface ApiServerOptions {
  /** Told of each request that was answered. */
  worked?: () => void;
  /** A plane that is silent for so long is gone, and with it whatever it had open here. */
  peerTimeoutMs?: number;
}

export function createApiServer(agent: Agent, options: ApiServerOptions = {}): ApiServer {
  const { worked = () => {}, peerTimeoutMs = PEER_TIMEOUT_MS } = options;
  const router = createRouter();
  for (const addRoutes of [containerRoutes, checkpointRoutes, streamRoutes, stdioRoutes]) {
    addRoutes(router, agent);
  }
  const nowMs = () => performance.now();
  const exchange = { router, nowMs, answers: createRequestAnswers({ nowMs }) };
  const server = http2.createServer({
    settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: STREAM_WINDOW_BYTES },
  });
  server.on('session', (session) => {
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    // The plane asks every few seconds, so it need not be asked.
    watchPeer(session, { timeoutMs: peerTimeoutMs, quietMs: peerTimeoutMs / 2 });
  });
  server.on('stream', (stream, headers) => {
    // Of one that the plane gave up nobody has to be told.
    stream.on('error', () => stream.destroy());
    void answerRequest(exchange, stream, headers).then(worked);
  });

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
      server.emit('connection', socket);
    },
  };
}
