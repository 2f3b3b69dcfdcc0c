/** What a checkpoint holds, as a person asks for it. Addresses are hexadecimal texts. */
import { type Static, Type } from 'typebox';

const strict = { additionalProperties: false } as const;
const Text = Type.String();
const Count = Type.Integer();

const counts = {
  storedPageCount: Type.Integer({ description: 'with content of their own in the checkpoint' }),
  zeroPageCount: Type.Integer({ description: 'that are all zero' }),
};
const PageCounts = Type.Object(counts, strict);
export type PageCounts = Static<typeof PageCounts>;

const SocketView = Type.Object(
  {
    protocol: Text,
    state: Text,
    local: Type.Optional(Text),
    remote: Type.Optional(Text),
    backlog: Type.Optional(Count),
  },
  strict,
);
export type SocketView = Static<typeof SocketView>;

const Pipe = Type.Object(
  {
    id: Type.Integer({ description: 'both ends of a pipe have the same' }),
    end: Type.Union([Type.Literal('read'), Type.Literal('write')]),
  },
  strict,
);

export const HandleView = Type.Object(
  {
    fd: Count,
    kind: Text,
    flags: Type.Array(Text, { description: 'as open(2) names them' }),
    closeOnExec: Type.Boolean(),
    path: Type.Optional(Text),
    offset: Type.Optional(Count),
    socket: Type.Optional(SocketView),
    pipe: Type.Optional(Pipe),
    watches: Type.Optional(Type.Array(Count, { description: 'descriptors that an epoll watches' })),
    counter: Type.Optional(Type.String({ description: 'of an eventfd' })),
  },
  strict,
);
export type HandleView = Static<typeof HandleView>;

const MappingView = Type.Object(
  {
    start: Text,
    end: Text,
    kind: Text,
    protection: Type.String({ description: 'as /proc/PID/maps has it' }),
    path: Type.Optional(Text),
    fileOffset: Type.Optional(Text),
    sharedMemory: Type.Optional(Type.Integer({ description: 'id of the shared memory object' })),
    ...counts,
    workingSetPageCount: Type.Optional(Count),
  },
  strict,
);
export type MappingView = Static<typeof MappingView>;

const ProcessState = Type.Union([
  Type.Literal('running'),
  Type.Literal('stopped'),
  Type.Literal('dead'),
  Type.Literal('zombie'),
  Type.Literal('unknown'),
]);
export type ProcessState = Static<typeof ProcessState>;

/** What a process is, but for what it has open and mapped. */
export const processFacts = {
  pid: Count,
  parentPid: Count,
  name: Text,
  state: ProcessState,
  exitCode: Type.Optional(Type.Integer({ description: 'of a dead one or a zombie' })),
  user: Type.Optional(Type.String({ description: 'uid:gid' })),
  command: Type.Optional(
    Type.Array(Text, { description: 'as its memory has it; absent when that is not in the checkpoint' }),
  ),
  executable: Type.Optional(Text),
};

const Thread = Type.Object({ tid: Count, name: Text }, strict);
const ProcessView = Type.Object(
  {
    ...processFacts,
    threads: Type.Array(Thread),
    handles: Type.Array(HandleView),
    mappings: Type.Array(MappingView),
  },
  strict,
);
export type ProcessView = Static<typeof ProcessView>;

const SharedMemoryView = Type.Object(
  { id: Count, pids: Type.Array(Count, { description: 'that map it' }), ...counts },
  strict,
);
export type SharedMemoryView = Static<typeof SharedMemoryView>;

const WorkingSetView = Type.Object(
  { pageCount: Count, pageCountByKind: Type.Record(Text, Count) },
  { ...strict, description: 'of the order log; absent without one' },
);

export const CheckpointContents = Type.Object(
  {
    id: Text,
    hostname: Text,
    processes: Type.Array(ProcessView),
    sharedMemory: Type.Array(SharedMemoryView),
    memory: PageCounts,
    workingSet: Type.Optional(WorkingSetView),
  },
  strict,
);
export type CheckpointContents = Static<typeof CheckpointContents>;
