/** What is read of CRIU's messages, by the field numbers of its images/*.proto. */
import { bool, bytes, message, messageList, text, uint32, uint32List, uint64 } from './wire.ts';

export const PstreeEntry = { pid: uint32(1), ppid: uint32(2), threads: uint32List(5) };

const Credentials = { uid: uint32(1), gid: uint32(2) };
export const CoreEntry = {
  task: message(3, { state: uint32(1), exitCode: uint32(2), name: text(6) }),
  thread: message(5, { credentials: message(10, Credentials), name: text(13) }),
};

/** Which fdinfo image has the task's descriptors. */
export const IdsEntry = { filesId: uint32(2) };

export const FdinfoEntry = { id: uint32(1), flags: uint32(2), type: uint32(3), fd: uint32(4) };

const InetSocket = {
  family: uint32(3),
  type: uint32(4),
  protocol: uint32(5),
  state: uint32(6),
  sourcePort: uint32(7),
  destinationPort: uint32(8),
  backlog: uint32(10),
  source: uint32List(11),
  destination: uint32List(12),
};

/** `id` is what descriptors and mappings name; one of the others is there. */
export const FileEntry = {
  type: uint32(1),
  id: uint32(2),
  regular: message(3, { flags: uint32(2), position: uint64(3), name: text(6) }),
  inet: message(4, { flags: uint32(9), ...InetSocket }),
  netlink: message(7, { flags: uint32(6), protocol: uint32(3) }),
  eventfd: message(8, { flags: uint32(2), counter: uint64(4) }),
  eventpoll: message(9, { flags: uint32(2), watched: messageList(4, { fd: uint32(2) }) }),
  signalfd: message(10, { flags: uint32(2) }),
  timerfd: message(12, { flags: uint32(2), clock: uint32(4) }),
  inotify: message(13, { flags: uint32(2) }),
  unix: message(16, {
    inode: uint32(2),
    type: uint32(3),
    state: uint32(4),
    flags: uint32(5),
    backlog: uint32(7),
    peer: uint32(8),
    name: bytes(11),
  }),
  fifo: message(17, { pipeId: uint32(2), regularFileId: uint32(3) }),
  pipe: message(18, { pipeId: uint32(2), flags: uint32(3) }),
  terminal: message(19, { terminalId: uint32(2), flags: uint32(3), regularFileId: uint32(6) }),
  memfd: message(20, { flags: uint32(2), position: uint64(3), inode: uint32(5) }),
};

export const VmaEntry = {
  start: uint64(1),
  end: uint64(2),
  offset: uint64(3),
  /** Of shared memory its id, of a mapped file the file's. */
  sharedId: uint64(4),
  protection: uint32(5),
  flags: uint32(6),
  status: uint32(7),
};

export const MmEntry = {
  stackStart: uint64(5),
  argumentsStart: uint64(8),
  argumentsEnd: uint64(9),
  executableId: uint32(12),
  mappings: messageList(14, VmaEntry),
};

export const UtsEntry = { nodeName: text(1), domainName: text(2) };

export const PagemapHead = { pagesId: uint32(1) };
export const PagemapEntry = {
  vaddr: uint64(1),
  compatiblePageCount: uint32(2),
  inParent: bool(3),
  flags: uint32(4),
  pageCount: uint64(5),
};
