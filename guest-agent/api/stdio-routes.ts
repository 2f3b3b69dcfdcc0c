/** Calls about standard input and output: attach, exec, resize, archives. */
import type { ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { Type } from 'typebox';
import { ContainerId } from '../../interconnect/agent-api.ts';
import { ArchivePath, ExecId, execCalls, stdioStreams } from '../../interconnect/exec-api.ts';
import type { Agent } from '../agent.ts';
import { BACKLOG_BYTES } from '../stdio/hub.ts';
import { IdParams } from './container-routes.ts';
import type { App } from './server.ts';

const strict = { additionalProperties: false };
const ExecParams = Type.Object({ id: ContainerId, exec: ExecId }, strict);
const AttachQuery = Type.Object(
  { backlogBytes: Type.Integer({ minimum: 0, maximum: BACKLOG_BYTES, default: BACKLOG_BYTES }) },
  strict,
);
const PathQuery = Type.Object({ path: ArchivePath }, strict);

export function stdioRoutes(app: App, { stdio }: Agent): void {
  const { archives, execs, hubs } = stdio;

  app.post(
    stdioStreams.attachContainer.path,
    { schema: { params: IdParams, querystring: AttachQuery } },
    async (request, reply) => {
      await hubs.attach(request.params.id, () => takeStream(request, reply), request.query.backlogBytes);
    },
  );
  app.post(
    stdioStreams.attachExec.path,
    { schema: { params: ExecParams, querystring: AttachQuery } },
    async (request, reply) => {
      const { id, exec } = request.params;
      execs.attach(id, exec, () => takeStream(request, reply), request.query.backlogBytes);
    },
  );
  app.post(
    execCalls.createExec.path,
    { schema: { params: IdParams, body: execCalls.createExec.body } },
    (request) => execs.create(request.params.id, request.body),
  );
  app.get(execCalls.inspectExec.path, { schema: { params: ExecParams } }, (request) =>
    execs.inspect(request.params.id, request.params.exec),
  );
  app.post(
    execCalls.resizeContainer.path,
    { schema: { params: IdParams, body: execCalls.resizeContainer.body } },
    async (request) => {
      await hubs.resize(request.params.id, request.body);
      return {};
    },
  );
  app.post(
    execCalls.resizeExec.path,
    { schema: { params: ExecParams, body: execCalls.resizeExec.body } },
    async (request) => {
      await execs.resize(request.params.id, request.params.exec, request.body);
      return {};
    },
  );
  app.get(execCalls.statPath.path, { schema: { params: IdParams, querystring: PathQuery } }, (request) =>
    archives.stat(request.params.id, request.query.path),
  );
  app.get(
    stdioStreams.getArchive.path,
    { schema: { params: IdParams, querystring: PathQuery } },
    async (request, reply) =>
      reply.type('application/x-tar').send(await archives.get(request.params.id, request.query.path)),
  );
  app.put(
    stdioStreams.putArchive.path,
    { schema: { params: IdParams, querystring: PathQuery } },
    async (request) => {
      await archives.put(request.params.id, request.query.path, request.raw);
      return {};
    },
  );
}

/** The call's HTTP/2 stream, answered with 200: from here on both directions are the caller's. */
function takeStream(request: { raw: unknown }, reply: { hijack(): unknown }): Duplex {
  const { stream } = request.raw as { stream: ServerHttp2Stream };
  reply.hijack();
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' });
  return stream;
}
