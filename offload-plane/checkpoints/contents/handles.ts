/** Descriptors of a process, from CRIU's fdinfo and its table of files. */
import type { FdinfoEntry, FileEntry } from '../../criu-images/messages.ts';
import type { Message } from '../../criu-images/wire.ts';
import type { HandleView } from './contract.ts';
import type { FileTable } from './images.ts';
import { inetSocket, netlinkSocket, unixSocket } from './sockets.ts';

/** CRIU's fd_types. */
const KINDS = [
  'undefined',
  'file',
  'pipe',
  'fifo',
  'socket',
  'socket',
  'eventfd',
  'epoll',
  'inotify',
  'signalfd',
  'packet socket',
  'terminal',
  'fanotify',
  'socket',
  'namespace',
  'tun',
  'external',
  'timerfd',
  'memfd',
  'bpf map',
  'pidfd',
];

/** open(2) on x86-64; those that the kernel sets by itself are left out. */
const OPEN_FLAGS: readonly [number, string][] = [
  [0o2000, 'O_APPEND'],
  [0o4000, 'O_NONBLOCK'],
  [0o10000, 'O_DSYNC'],
  [0o20000, 'O_ASYNC'],
  [0o40000, 'O_DIRECT'],
  [0o200000, 'O_DIRECTORY'],
  [0o1000000, 'O_NOATIME'],
  [0o10000000, 'O_PATH'],
];
const ACCESS = ['O_RDONLY', 'O_WRONLY', 'O_RDWR'];
const ACCESS_MASK = 3;
const FD_CLOEXEC = 1;

type FileOf = Message<typeof FileEntry>;

function openFlags(flags: number): string[] {
  const access = ACCESS[flags & ACCESS_MASK] ?? 'O_ACCMODE';
  return [access, ...OPEN_FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name)];
}

export function handleOf(descriptor: Message<typeof FdinfoEntry>, files: FileTable): HandleView {
  const { fd, id, type, flags: fdFlags } = descriptor;
  const common = { fd, kind: KINDS[type] ?? `type ${type}`, closeOnExec: (fdFlags & FD_CLOEXEC) !== 0 };
  const file = files.get(id);
  if (file === undefined) return { ...common, flags: [] };
  return { ...common, flags: flagsOf(file), ...detailsOf(file, files) };
}

function flagsOf(file: FileOf): string[] {
  const { regular, inet, netlink, eventfd, eventpoll, signalfd, timerfd, inotify } = file;
  const one = regular ?? inet ?? netlink ?? eventfd ?? eventpoll ?? signalfd ?? timerfd ?? inotify;
  const other = file.unix ?? file.pipe ?? file.terminal ?? file.memfd;
  const flags = (one ?? other)?.flags;
  return flags === undefined ? [] : openFlags(flags);
}

function detailsOf(file: FileOf, files: FileTable): Partial<HandleView> {
  const { regular, inet, unix, netlink, pipe, fifo, terminal, eventpoll, eventfd, memfd } = file;
  if (regular) return { path: regular.name, offset: Number(regular.position) };
  if (inet) return { socket: inetSocket(inet) };
  if (unix) return { socket: unixSocket(unix) };
  if (netlink) return { socket: netlinkSocket(netlink) };
  if (pipe) {
    return { pipe: { id: pipe.pipeId, end: (pipe.flags & ACCESS_MASK) === 1 ? 'write' : 'read' } };
  }
  if (fifo) return pathOf(fifo.regularFileId, files);
  if (terminal) return pathOf(terminal.regularFileId, files);
  if (eventpoll) return { watches: eventpoll.watched.map(({ fd }) => fd) };
  if (eventfd) return { counter: String(eventfd.counter) };
  if (memfd) return { offset: Number(memfd.position) };
  return {};
}

export function pathOf(fileId: number, files: FileTable): { path?: string } {
  const path = files.get(fileId)?.regular?.name;
  return path === undefined ? {} : { path };
}
