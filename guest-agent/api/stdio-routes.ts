/** Calls about standard input and output: attach, exec, resize, archives. */
import type { ServerHttp2Stream } from 'node:http2';
import { Type } from 'typebox';
import { ContainerId } from '../../interconnect/agent-api.ts';
import { ArchivePath, ExecId, execCalls, stdioStreams } from '../../interconnect/exec-api.ts';
import type { Agent } from '../agent.ts';
import { BACKLOG_BYTES } from '../stdio/hub.ts';
import { ById } from './container-routes.ts';
import { incoming, sendBytes } from './exchange.ts';
import type { Router } from './router.ts';

const strict = { additionalProperties: false };
const ByExec = { params: Type.Object({ id: ContainerId, exec: ExecId }, strict) };
const WithBacklog = {
  query: Type.Object(
    { backlogBytes: Type.Integer({ minimum: 0, maximum: BACKLOG_BYTES, default: BACKLOG_BYTES }) },
    strict,
  ),
};
const WithPath = { query: Type.Object({ path: ArchivePath }, strict) };

export function stdioRoutes(router: Router, { stdio }: Agent): void {
  const { archives, execs, hubs } = stdio;

  router.stream(stdioStreams.attachContainer, { ...ById, ...WithBacklog }, ({ params, query, stream }) =>
    hubs.attach(params.id, () => taken(stream), query.backlogBytes),
  );
  router.stream(stdioStreams.attachExec, { ...ByExec, ...WithBacklog }, ({ params, query, stream }) =>
    execs.attach(params.id, params.exec, () => taken(stream), query.backlogBytes),
  );
  router.call(execCalls.createExec, ById, ({ params, body, requestId }) =>
    execs.create(params.id, body, requestId),
  );
  router.call(execCalls.inspectExec, ByExec, ({ params }) => execs.inspect(params.id, params.exec));
  router.call(execCalls.resizeContainer, ById, async ({ params, body }) => {
    await hubs.resize(params.id, body);
    return {};
  });
  router.call(execCalls.resizeExec, ByExec, async ({ params, body }) => {
    await execs.resize(params.id, params.exec, body);
    return {};
  });
  router.call(execCalls.statPath, { ...ById, ...WithPath }, ({ params, query }) =>
    archives.stat(params.id, query.path),
  );
  router.stream(stdioStreams.getArchive, { ...ById, ...WithPath }, async ({ params, query, stream }) =>
    sendBytes(stream, 'application/x-tar', await archives.get(params.id, query.path)),
  );
  router.stream(stdioStreams.putArchive, { ...ById, ...WithPath }, async ({ params, query, stream }) => {
    await archives.put(params.id, query.path, incoming(stream));
    return {};
  });
}

/** Answered with 200: from here on both directions are the caller's. */
function taken(stream: ServerHttp2Stream): ServerHttp2Stream {
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' });
  return stream;
}
