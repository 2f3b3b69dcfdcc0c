/** Calls whose body or answer is a stream: ports, events, logs, the memory comparison. */
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Type } from 'typebox';
import { type AgentEvent, agentStreams, ContainerId } from '../../interconnect/agent-api.ts';
import { joinStreams } from '../../platform/join-streams.ts';
import type { Agent } from '../agent.ts';
import { readLog } from '../stdio/log-reader.ts';
import { ById } from './container-routes.ts';
import { incoming, sendBytes } from './exchange.ts';
import type { Router } from './router.ts';

const strict = { additionalProperties: false };
const ByPort = {
  params: Type.Object({ id: ContainerId, port: Type.Integer({ minimum: 1, maximum: 65_535 }) }, strict),
};
const Since = { query: Type.Object({ since: Type.Integer({ minimum: 0, default: 0 }) }, strict) };
const OfLog = {
  query: Type.Object(
    {
      follow: Type.Boolean({ default: false }),
      tailLines: Type.Optional(Type.Integer({ minimum: 0 })),
      sinceMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 })),
    },
    strict,
  ),
};
const MAX_PENDING_EVENTS = 1_000;

export function streamRoutes(router: Router, agent: Agent): void {
  const { containers } = agent;

  router.stream(agentStreams.connectPort, ByPort, ({ params: { id, port }, stream }) => {
    const container = containers.get(id);
    containers.expectPhase(container, 'connect to', 'running', 'paused', 'checkpointing');
    const host = container.spec.address.replace(/\/.*/, '');
    const tcp = connect({ host, port, noDelay: true, allowHalfOpen: true });
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

  router.stream(agentStreams.events, Since, ({ query, stream }) =>
    sendBytes(stream, 'application/x-ndjson', eventStream(agent, query.since)),
  );

  router.stream(agentStreams.logs, { ...ById, ...OfLog }, async ({ params: { id }, query, stream }) => {
    const container = containers.get(id);
    const gone = new AbortController();
    stream.once('close', () => gone.abort());
    const isOver = () =>
      container.life.phase === 'stopped' || !containers.list().some((other) => other.id === id);
    const source = { path: containers.paths(id).log, isOver, signal: gone.signal };
    stream.respond({ ':status': 200, 'content-type': 'text/plain' });
    // Whoever stops listening is no error, and nobody is left to be told of any other.
    await pipeline(readLog(source, query), stream).catch(() => stream.destroy());
  });

  router.stream(agentStreams.compareMemory, ById, ({ params, stream }) =>
    agent.compareMemory(params.id, incoming(stream)),
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
