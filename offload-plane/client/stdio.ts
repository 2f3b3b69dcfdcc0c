/** Calls about standard input and output: attach, exec, logs, and copies in and out. */
import type { Readable } from 'node:stream';
import type { PathStat, TerminalSize } from '../../interconnect/exec-api.ts';
import { FrameDecoder } from '../../interconnect/stdio-frames.ts';
import type { ExecBody, ExecView, LogsQuery } from '../http-api/schemas/execs.ts';
import { FRAMES_TYPE } from '../http-api/schemas/execs.ts';
import { type Channels, type OutputStream, openChannels } from './channels.ts';
import { type PlaneConnection, part, search } from './connection.ts';
import { readChunks } from './lines.ts';

export interface AttachOptions {
  /** So much of what came before is given first; default: all that is kept. */
  backlogBytes?: number;
}

export interface OutputChunk {
  stream: OutputStream;
  bytes: Buffer;
}

export const stdioCalls = (plane: PlaneConnection) => {
  const at = (name: string, verb: string) => `/v1/containers/${part(name)}${verb}`;
  const exec = (id: string, verb = '') => `/v1/execs/${part(id)}${verb}`;
  const attach = (path: string, { backlogBytes }: AttachOptions): Promise<Channels> =>
    openChannels(plane.address, `${path}${search({ backlogBytes })}`);

  return {
    attach: (name: string, options: AttachOptions = {}) => attach(at(name, '/attach'), options),
    async resize(name: string, size: TerminalSize): Promise<void> {
      await (await plane.send({ method: 'POST', path: at(name, '/resize'), body: size })).body.dump();
    },
    createExec: (name: string, body: ExecBody) => plane.post<ExecView>(at(name, '/execs'), body),
    inspectExec: (id: string) => plane.get<ExecView>(exec(id)),
    attachExec: (id: string, options: AttachOptions = {}) => attach(exec(id, '/attach'), options),
    async resizeExec(id: string, size: TerminalSize): Promise<void> {
      await (await plane.send({ method: 'POST', path: exec(id, '/resize'), body: size })).body.dump();
    },
    /** Standard output and error apart, as they come. */
    async *logs(name: string, query: LogsQuery = {}): AsyncGenerator<OutputChunk> {
      const headers = { accept: FRAMES_TYPE };
      const decoder = new FrameDecoder();
      for await (const chunk of readChunks(plane, {
        method: 'GET',
        path: at(name, '/logs'),
        query,
        headers,
      })) {
        for (const { type, payload } of decoder.push(chunk)) {
          yield { stream: type as OutputStream, bytes: payload };
        }
      }
    },
    statPath: (name: string, path: string) => plane.get<PathStat>(at(name, '/archive/stat'), { path }),
    /** A tar of the path, under its last name. */
    async getArchive(name: string, path: string): Promise<Readable> {
      return (await plane.send({ method: 'GET', path: at(name, '/archive'), query: { path } })).body;
    },
    async putArchive(name: string, path: string, tar: Readable): Promise<void> {
      const answer = await plane.send({
        method: 'PUT',
        path: at(name, '/archive'),
        query: { path },
        headers: { 'content-type': 'application/x-tar' },
        body: tar,
      });
      await answer.body.dump();
    },
  };
};
