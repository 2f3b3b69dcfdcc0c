/**
 * A person's terminal, or pipes, joined to what runs in a container. The terminal is given back as it was,
 * whatever happens short of SIGKILL.
 */
import { once } from 'node:events';
import type { ReadStream, WriteStream } from 'node:tty';
import { STDERR, type StdioEnd } from '../../../interconnect/stdio-frames.ts';
import { OffloadError } from '../../../platform/errors.ts';
import type { Channels } from '../../client/channels.ts';
import { createDetachMatcher, DEFAULT_DETACH_KEYS, parseDetachKeys } from './detach-keys.ts';

export interface SessionOptions {
  /** What runs there has a terminal. */
  terminal: boolean;
  /** What is typed, or comes through a pipe, goes there. */
  openStdin: boolean;
  detachKeys?: string | undefined;
  /** Called once the terminal is joined, e.g. to start what runs there. */
  onJoined?: () => Promise<unknown>;
  /** Takes signals to this program to the one that runs there; without it they end this program. */
  onSignal?: (signal: NodeJS.Signals) => void;
}

export type SessionEnd = { exitCode: number } | { detached: true };

/** The program's own standard streams. */
export interface SessionStreams {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
}

const ENDING_SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** @throws {OffloadError} when it ends otherwise than with an exit code or by the detach keys */
export async function runSession(
  channels: Channels,
  options: SessionOptions,
  streams: SessionStreams = process,
): Promise<SessionEnd> {
  const { stdin, stdout, stderr } = streams;
  const keys = parseDetachKeys(options.detachKeys ?? DEFAULT_DETACH_KEYS);
  const isTyping = options.terminal && options.openStdin && stdin.isTTY === true;
  const detached = Promise.withResolvers<SessionEnd>();
  const undo: (() => void)[] = [];
  try {
    if (options.terminal && stdout.isTTY) undo.push(followSize(channels, stdout as WriteStream));
    if (isTyping) undo.push(makeRaw(stdin as ReadStream));
    undo.push(takeSignals(options.onSignal, undo));
    const ended = channels.read((stream, bytes) => {
      const target = stream === STDERR ? stderr : stdout;
      if (target.write(bytes)) return undefined;
      return once(target, 'drain').then(() => undefined);
    });
    ended.catch(() => undefined);
    await options.onJoined?.();
    if (options.openStdin) {
      const match = isTyping ? createDetachMatcher(keys) : undefined;
      const onDetached = () => detached.resolve({ detached: true });
      undo.push(carryInput(stdin, channels, match, onDetached));
    }
    return await Promise.race([ended.then(endOf), detached.promise]);
  } finally {
    for (const step of undo.reverse()) step();
    channels.close();
  }
}

function endOf(end: StdioEnd): SessionEnd {
  if ('error' in end) throw new OffloadError('guest_lost', end.error);
  return end;
}

/** The terminal there has this one's size, now and whenever it changes. */
function followSize(channels: Channels, stdout: WriteStream): () => void {
  const tell = () => {
    const { columns, rows } = stdout;
    if (columns > 0 && rows > 0) channels.resize({ columns, rows }).catch(() => undefined);
  };
  tell();
  stdout.on('resize', tell);
  return () => stdout.off('resize', tell);
}

/** Every key goes there as it is typed. Undone at the latest when this process exits. */
function makeRaw(stdin: ReadStream): () => void {
  stdin.setRawMode(true);
  const restore = () => void stdin.setRawMode(false);
  process.once('exit', restore);
  return () => {
    process.off('exit', restore);
    restore();
  };
}

function takeSignals(
  pass: ((signal: NodeJS.Signals) => void) | undefined,
  undo: readonly (() => void)[],
): () => void {
  const handlers = Object.entries(ENDING_SIGNALS).map(([name, exitCode]) => {
    const signal = name as NodeJS.Signals;
    const handler = () => {
      if (pass && signal !== 'SIGHUP') return pass(signal);
      for (const step of undo.toReversed()) step();
      process.exit(exitCode);
    };
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  return () => {
    for (const forget of handlers) forget();
  };
}

/** No more is read than has gone out. The end of a pipe is the end of the input there. */
function carryInput(
  stdin: NodeJS.ReadStream,
  channels: Channels,
  match: ReturnType<typeof createDetachMatcher> | undefined,
  onDetached: () => void,
): () => void {
  // Whoever has ended takes no input: the end that follows says so.
  const ignore = () => undefined;
  const onData = (typed: Buffer) => {
    const { forward, detached } = match?.(typed) ?? { forward: typed, detached: false };
    stdin.pause();
    channels
      .send(forward)
      .catch(ignore)
      .then(() => (detached ? onDetached() : void stdin.resume()));
  };
  const onEnd = () => void channels.closeInput().catch(ignore);
  stdin.on('data', onData);
  stdin.once('end', onEnd);
  stdin.resume();
  return () => {
    stdin.off('data', onData);
    stdin.off('end', onEnd);
    stdin.pause();
  };
}
