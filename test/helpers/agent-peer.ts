/** A client of the plane's, and an agent at the other end that answers as a test wants it to. */
import http2, { type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { type Duplex, duplexPair } from 'node:stream';
import { type AgentClient, createAgentClient } from '../../offload-plane/guests/agent-client.ts';

export interface AgentPeer {
  client: AgentClient;
  /** The plane's end of the connection. */
  near: Duplex;
  far: Duplex;
}

export function agentPeer(
  answer?: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
  { pingTimeoutMs = 60_000, onPing = () => {} } = {},
): AgentPeer {
  const [near, far] = duplexPair();
  const server = http2.createServer((request, response) => {
    // The plane may hang up in the middle.
    response.on('error', () => {});
    answer?.(request, response);
  });
  server.on('session', (session) => session.on('ping', onPing));
  server.emit('connection', far);
  return { client: createAgentClient('guest-a', near, pingTimeoutMs), near, far };
}
