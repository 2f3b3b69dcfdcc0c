/** The agent's calls about execs (programs started in a running container) and about terminals' sizes. */
import { type Static, Type } from 'typebox';

const strict = { additionalProperties: false } as const;

export const ExecId = Type.String({ pattern: '^[0-9a-f]{12}$' });
/** conmon takes no larger ones. */
const Size = Type.Integer({ minimum: 1, maximum: 1000 });
export const TerminalSize = Type.Object({ columns: Size, rows: Size }, strict);
export type TerminalSize = Static<typeof TerminalSize>;

export const ExecSpec = Type.Object(
  {
    command: Type.Array(Type.String({ maxLength: 4096 }), { minItems: 1, maxItems: 256 }),
    terminal: Type.Boolean(),
    openStdin: Type.Boolean(),
    /** NAME=value, beside the container's own. */
    env: Type.Array(Type.String({ pattern: '^[^=]+=', maxLength: 32_768 }), { maxItems: 512 }),
    /** uid, uid:gid, or a name of the container's /etc/passwd; default: the container's. */
    user: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}$' })),
    /** Default: the container's. */
    workingDir: Type.Optional(Type.String({ pattern: '^/', maxLength: 4096 })),
    columns: Type.Optional(Size),
    rows: Type.Optional(Size),
    /** Nobody will attach: the output is dropped from the start, and else held for the first who does. */
    detached: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type ExecSpec = Static<typeof ExecSpec>;

export const ExecState = Type.Object(
  {
    id: ExecId,
    command: Type.Array(Type.String()),
    terminal: Type.Boolean(),
    running: Type.Boolean(),
    /** In the guest. */
    pid: Type.Optional(Type.Integer()),
    exitCode: Type.Optional(Type.Integer()),
  },
  strict,
);
export type ExecState = Static<typeof ExecState>;

/** A path in a container; what a symbolic link leads to, unless it leads nowhere. */
export const PathStat = Type.Object(
  {
    kind: Type.Union([
      Type.Literal('directory'),
      Type.Literal('file'),
      Type.Literal('symlink'),
      Type.Literal('other'),
    ]),
    /** Permission bits. */
    mode: Type.Integer(),
    sizeBytes: Type.Integer(),
  },
  strict,
);
export type PathStat = Static<typeof PathStat>;
export const ArchivePath = Type.String({ pattern: '^/[^\\0]*$', maxLength: 4096 });

const Empty = Type.Object({}, strict);

export const execCalls = {
  /** Starts it; its output waits for whoever attaches. */
  createExec: { method: 'POST', path: '/v1/containers/:id/execs', body: ExecSpec, response: ExecState },
  inspectExec: { method: 'GET', path: '/v1/containers/:id/execs/:exec', response: ExecState },
  resizeContainer: {
    method: 'POST',
    path: '/v1/containers/:id/resize',
    body: TerminalSize,
    response: Empty,
  },
  resizeExec: {
    method: 'POST',
    path: '/v1/containers/:id/execs/:exec/resize',
    body: TerminalSize,
    response: Empty,
  },
  /** The path is the last parameter: it stands in the query. */
  statPath: { method: 'GET', path: '/v1/containers/:id/archive/stat', response: PathStat },
} as const;

/**
 * Streams of standard input and output, as frames of stdio-frames.ts both ways:
 * - attachContainer, attachExec: `?backlogBytes=` of what came before, then what follows.
 * - getArchive, putArchive: a tar of `?path=`, or to be unpacked there.
 */
export const stdioStreams = {
  attachContainer: { method: 'POST', path: '/v1/containers/:id/attach' },
  attachExec: { method: 'POST', path: '/v1/containers/:id/execs/:exec/attach' },
  getArchive: { method: 'GET', path: '/v1/containers/:id/archive' },
  putArchive: { method: 'PUT', path: '/v1/containers/:id/archive' },
} as const;
