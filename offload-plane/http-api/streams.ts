/** Logs of containers, and copies in and out of them. */
import { pipeline } from 'node:stream/promises';
import { logEntries } from '../../interconnect/conmon-log.ts';
import { PathStat } from '../../interconnect/exec-api.ts';
import { encodeFrame } from '../../interconnect/stdio-frames.ts';
import { OffloadError } from '../../platform/errors.ts';
import { wantedOutput } from '../containers/log-lines.ts';
import type { Plane } from '../plane.ts';
import { bodyOf, NameParams, Nothing, streamOf, Text } from './schemas/common.ts';
import { ArchiveQuery, FRAMES_TYPE, LogsQuery } from './schemas/execs.ts';
import type { App } from './server.ts';
import { TAR_TYPE, tarBody } from './tar-body.ts';

export function streamRoutes(app: App, { stdio }: Plane): void {
  app.get(
    '/v1/containers/:name/logs',
    {
      schema: {
        summary: "A container's output",
        description: `Byte for byte as it was written; with \`Accept: ${FRAMES_TYPE}\` as frames that tell standard output from standard error.`,
        params: NameParams,
        querystring: LogsQuery,
        response: { 200: Text },
      },
    },
    async (request, reply) => {
      const { follow, tail, timestamps, since, until } = request.query;
      const times = { ...timeOf('sinceMs', since), ...timeOf('untilMs', until) };
      const lines = await stdio.logs(request.params.name, {
        follow,
        ...(tail === undefined ? {} : { tailLines: tail }),
        ...('sinceMs' in times ? { sinceMs: Math.floor(times.sinceMs) } : {}),
      });
      const asFrames = String(request.headers.accept ?? '').includes(FRAMES_TYPE);
      reply.hijack();
      reply.raw.writeHead(200, { 'content-type': asFrames ? FRAMES_TYPE : 'text/plain' });
      // Who follows a silent container has its answer at once.
      reply.raw.flushHeaders();
      reply.raw.once('close', () => lines.destroy());
      const output = wantedOutput(logEntries(lines), { timestamps, ...times });
      await pipeline(asFrames ? framed(output) : plain(output), reply.raw).catch(() => reply.raw.destroy());
    },
  );
  app.get(
    '/v1/containers/:name/archive',
    {
      schema: {
        summary: 'Copy a file or directory out of a container, as tar',
        params: NameParams,
        querystring: ArchiveQuery,
        response: { 200: streamOf('application/x-tar', 'The path under its last name') },
      },
    },
    async (request, reply) =>
      reply.type('application/x-tar').send(await stdio.getArchive(request.params.name, request.query.path)),
  );
  app.get(
    '/v1/containers/:name/archive/stat',
    {
      schema: {
        summary: 'What a path in a container is',
        params: NameParams,
        querystring: ArchiveQuery,
        response: { 200: PathStat },
      },
    },
    (request) => stdio.statPath(request.params.name, request.query.path),
  );
  app.put(
    '/v1/containers/:name/archive',
    {
      schema: {
        summary: 'Unpack a tar in a directory of a container',
        body: bodyOf(TAR_TYPE, 'What goes into the directory'),
        params: NameParams,
        querystring: ArchiveQuery,
        response: { 204: Nothing },
      },
    },
    async (request, reply) => {
      await stdio.putArchive(request.params.name, request.query.path, tarBody(request));
      return reply.code(204).send();
    },
  );
}

type Output = ReturnType<typeof wantedOutput>;

async function* plain(output: Output): AsyncGenerator<Buffer> {
  for await (const { bytes } of output) yield bytes;
}

async function* framed(output: Output): AsyncGenerator<Buffer> {
  for await (const { stream, bytes } of output) yield encodeFrame(stream, bytes);
}

/** Seconds since 1970, or RFC 3339. */
function timeOf<K extends string>(key: K, text: string | undefined): { [name in K]?: number } & object {
  if (text === undefined) return {};
  const ms = /^[\d.]+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (Number.isNaN(ms)) throw new OffloadError('invalid_request', `read logs: ${text} is no time`);
  return { [key]: ms } as { [name in K]?: number };
}
