/** Execs, attachments, logs and archives: what is asked for and answered. */
import { type Static, Type } from 'typebox';
import { ArchivePath, ExecSpec, TerminalSize } from '../../../interconnect/exec-api.ts';
import { strict } from './common.ts';

const { command, workingDir, user } = ExecSpec.properties;
const Flag = (description: string) => Type.Optional(Type.Boolean({ description }));

export const ExecBody = Type.Object(
  {
    command,
    terminal: Flag('its standard streams are a terminal'),
    openStdin: Flag('standard input is open to who attaches, and else /dev/null'),
    detach: Flag('nobody will attach: its output is dropped'),
    env: Type.Optional(ExecSpec.properties.env),
    user,
    workingDir,
    columns: ExecSpec.properties.columns,
    rows: ExecSpec.properties.rows,
  },
  strict,
);
export type ExecBody = Static<typeof ExecBody>;

const ExecId = Type.String({ pattern: '^[0-9a-f]{12}-[0-9a-f]{12}$' });
export const ExecParams = Type.Object({ id: ExecId }, strict);
export const ExecView = Type.Object(
  {
    id: ExecId,
    container: Type.String({ description: 'the container’s id' }),
    command: Type.Array(Type.String()),
    terminal: Type.Boolean(),
    running: Type.Boolean(),
    exitCode: Type.Optional(
      Type.Integer({ description: '126: it could not be run, 127: there is no such program' }),
    ),
  },
  strict,
);
export type ExecView = Static<typeof ExecView>;

export const SizeBody = TerminalSize;
export const AttachQuery = Type.Object(
  {
    backlogBytes: Type.Integer({
      minimum: 0,
      maximum: 65_536,
      default: 65_536,
      description: 'so much of what came before is sent first',
    }),
  },
  strict,
);

/** Docker's name for standard output and error as frames. */
export const FRAMES_TYPE = 'application/vnd.docker.multiplexed-stream';

const Time = Type.String({
  pattern:
    '^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,18}(Z|[+-][0-9]{2}:[0-9]{2})|[0-9]{1,12}(\\.[0-9]{1,9})?)$',
  description: 'RFC 3339, or seconds since 1970',
});
export const LogsQuery = Type.Object(
  {
    follow: Type.Boolean({ default: false, description: 'wait for what is written later' }),
    since: Type.Optional(Time),
    until: Type.Optional(Time),
    tail: Type.Optional(Type.Integer({ minimum: 0, description: 'only the last so many lines' })),
    timestamps: Type.Boolean({ default: false, description: 'begin each line with its time' }),
  },
  strict,
);
export type LogsQuery = Partial<Static<typeof LogsQuery>>;

export const ArchiveQuery = Type.Object({ path: ArchivePath }, strict);
