/** Calls whose body or answer is a stream: ports, events, logs, the memory comparison. */
import type { ServerHttp2Stream } from 'node:http2';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Type } from 'typebox';
import { type AgentEvent, agentStreams, ContainerId } from '../../interconnect/agent-api.ts';
import { joinStreams } from '../../platform/join-streams.ts';
import type { Agent } from '../agent.ts';
import { readLog } from '../stdio/log-reader.ts';
import { IdParams } from './container-routes.ts';
import type { App } from './server.ts';

const strict = { additionalProperties: false };
const PortParams = Type.Object(
  { id: ContainerId, port: Type.Integer({ minimum: 1, maximum: 65_535 }) },
  strict,
);
const EventsQuery = Type.Object({ since: Type.Integer({ minimum: 0, default: 0 }) }, strict);
const LogsQuery = Type.Object(
  {
    follow: Type.Boolean({ default: false }),
    tailLines: Type.Optional(Type.Integer({ minimum: 0 })),
    sinceMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 })),
  },
  strict,
);
const MAX_PENDING_EVENTS = 1_000;

export function streamRoutes(app: App, agent: Agent): void {
  const { containers } = agent;

  app.post(agentStreams.connectPort.path, { schema: { params: PortParams } }, (request, reply) => {
    const { id, port } = request.params;
    const container = containers.get(id);
    containers.expectPhase(container, 'connect to', 'running', 'paused', 'checkpointing');
    const { stream } = request.raw as unknown as { stream: ServerHttp2Stream };
    const host = container.spec.address.replace(/\/.*/, '');
    const tcp = connect({ host, port, noDelay: true, allowHalfOpen: true });
    reply.hijack();
    tcp.once('connect', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' });
      joinStreams(stream, tcp);
    });
    tcp.once('error', () => {
      if (stream.headersSent) stream.destroy();
      else stream.respond({ ':status': 502 }, { endStream: true });
    });
    stream.once('close', () => tcp.destroy());
  });

  app.get(agentStreams.events.path, { schema: { querystring: EventsQuery } }, (request, reply) =>
    reply.type('application/x-ndjson').send(eventStream(agent, request.query.since)),
  );

  app.get(
    agentStreams.logs.path,
    { schema: { params: IdParams, querystring: LogsQuery } },
    async (request, reply) => {
      const { id } = request.params;
      const container = containers.get(id);
      const { stream } = request.raw as unknown as { stream: ServerHttp2Stream };
      const gone = new AbortController();
      stream.once('close', () => gone.abort());
      const isOver = () =>
        container.life.phase === 'stopped' || !containers.list().some((other) => other.id === id);
      const source = { path: containers.paths(id).log, isOver, signal: gone.signal };
      reply.hijack();
      stream.respond({ ':status': 200, 'content-type': 'text/plain' });
      // Whoever stops listening is no error, and nobody is left to be told of any other.
      await pipeline(readLog(source, request.query), stream).catch(() => stream.destroy());
    },
  );

  app.post(agentStreams.compareMemory.path, { schema: { params: IdParams } }, (request) =>
    agent.compareMemory(request.params.id, request.raw),
  );
}

/** Past events, then those to come; a reader that falls MAX_PENDING_EVENTS behind is cut off and may ask again. */
function eventStream(agent: Agent, since: number): Readable {
  let pending = 0;
  const line = (event: AgentEvent) => `${JSON.stringify(event)}\n`;
  const stream = new Readable({
    read() {
      pending = 0;
    },
  });
  // An empty line at once: the answer's headers leave with the first byte, and the plane waits for them.
  stream.push('\n');
  for (const event of agent.events.since(since)) stream.push(line(event));
  // And one more: all that had happened until now has been told.
  stream.push('\n');
  const unsubscribe = agent.events.subscribe((event) => {
    pending += 1;
    if (pending > MAX_PENDING_EVENTS) stream.destroy();
    else stream.push(line(event));
  });
  stream.once('close', unsubscribe);
  return stream;
}
