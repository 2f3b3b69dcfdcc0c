/**
 * Copies in and out of containers, as tar. A static tar of the guest runs with the container's root
 * filesystem as its own (native/enter.c), so that no symbolic link of the container's leads out of it.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, posix } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { PathStat } from '../../interconnect/exec-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Containers } from '../containers.ts';
import type { Container } from '../life.ts';
import { type AgentPaths, BUSYBOX } from '../paths.ts';

export interface ArchivesDeps {
  paths: AgentPaths;
  containers: Containers;
  /** A static program of that name in the guest; default: Debian's. */
  busyboxProgram?: string | undefined;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const MAX_COPIES = 16;
const MAX_TEXT_BYTES = 1024 * 1024;
const MAX_COMPLAINT_BYTES = 4_096;
/** Without a byte for so long, whoever copies has gone away. */
const IDLE_TIMEOUT_MS = 120_000;

export function createArchives(deps: ArchivesDeps) {
  const { containers, paths } = deps;
  let running = 0;

  function argsOf(container: Container, command: readonly string[]): string[] {
    const isAlive = 'pid' in container.life && container.life.phase !== 'created';
    const pid = isAlive && 'pid' in container.life ? String(container.life.pid) : '-';
    return [pid, containers.paths(container.spec.id).rootfs, deps.busyboxProgram ?? BUSYBOX, ...command];
  }

  /** Starts a program of busybox in the container's root; it ends when nothing moves for too long. */
  function start(
    id: string,
    operation: string,
    command: readonly string[],
  ): { child: Child; over: Promise<void> } {
    const container = containers.get(id);
    containers.expectPhase(container, operation, 'created', 'running', 'paused', 'checkpointing', 'stopped');
    if (running >= MAX_COPIES) {
      throw new OffloadError('no_space', `${operation} container ${id}: ${MAX_COPIES} copies are under way`);
    }
    running += 1;
    const child = spawn(join(paths.programDirectory, 'offload-enter'), argsOf(container, command), {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), IDLE_TIMEOUT_MS);
    for (const stream of [child.stdout, child.stdin]) stream.on('error', () => undefined);
    child.stdout.on('data', () => timer.refresh());
    child.stdin.on('drain', () => timer.refresh());
    child.stdout.pause();
    return { child, over: overOf(child, `${operation} container ${id}`, timer) };
  }

  async function overOf(child: Child, what: string, timer: NodeJS.Timeout): Promise<void> {
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => {
      if (complaint.length < MAX_COMPLAINT_BYTES) complaint += chunk.toString();
    });
    try {
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
      if (code !== 0) throw failureOf(what, complaint, signal);
    } finally {
      running -= 1;
      clearTimeout(timer);
    }
  }

  async function readAll(id: string, operation: string, command: readonly string[]): Promise<string> {
    const { child, over } = start(id, operation, command);
    over.catch(() => undefined);
    child.stdin.end();
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_TEXT_BYTES) child.kill('SIGKILL');
      else chunks.push(chunk);
    }
    await over;
    return Buffer.concat(chunks).toString('utf8');
  }

  const readText = (id: string, path: string) => readAll(id, `read ${path} of`, ['cat', path]);

  /** What a path leads to; of a link to nothing: the link. */
  async function stat(id: string, path: string): Promise<PathStat> {
    const ask = (...flags: string[]) =>
      readAll(id, `look at ${path} of`, ['stat', ...flags, '-c', '%f %s', '--', path]);
    const text = await ask('-L').catch(() => ask());
    const [mode = 0, sizeBytes = 0] = [Number.parseInt(text, 16), Number(text.trim().split(' ')[1])];
    return { kind: kindOf(mode), mode: mode & 0o7777, sizeBytes };
  }

  return {
    readText,
    stat,
    /** The tar fails before its end when something of it could not be read. */
    async get(id: string, path: string): Promise<Readable> {
      await stat(id, path);
      const whole = posix.normalize(path);
      const names = ['-C', posix.dirname(whole), '-cf', '-', '--', posix.basename(whole) || '.'];
      const { child, over } = start(id, `copy ${path} from`, ['tar', ...names]);
      over.catch(() => undefined);
      child.stdin.end();
      return Readable.from(untilOver(child, over), { objectMode: false });
    },
    /** Unpacks into a directory that is there. */
    async put(id: string, path: string, tar: Readable): Promise<void> {
      containers.expectPhase(
        containers.get(id),
        'copy into',
        ...(['created', 'running', 'paused', 'stopped'] as const),
      );
      const { kind } = await stat(id, path);
      if (kind !== 'directory') {
        throw new OffloadError('invalid_request', `copy into container ${id}: ${path} is no directory`);
      }
      const { child, over } = start(id, `copy to ${path} in`, ['tar', '-C', path, '-xpf', '-']);
      child.stdout.resume();
      const sent = pipeline(tar, child.stdin);
      // A tar that is unpacked need not have been read to its last padding.
      sent.catch(() => {
        if (!tar.readableEnded) child.kill('SIGKILL');
      });
      await over;
      tar.resume();
    },
  };
}

async function* untilOver(child: Child, over: Promise<void>): AsyncGenerator<Buffer> {
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    await over;
  } finally {
    child.kill('SIGKILL');
  }
}

function failureOf(what: string, complaint: string, signal: string | null): OffloadError {
  const said = complaint.trim().slice(-400);
  if (/No such file or directory/.test(said)) return new OffloadError('not_found', `${what}: ${said}`);
  if (/No space left/.test(said)) return new OffloadError('no_space', `${what}: ${said}`);
  if (signal)
    return new OffloadError(
      'deadline_exceeded',
      `${what}: ended after ${IDLE_TIMEOUT_MS} ms of silence, or because its caller went away`,
    );
  return new OffloadError('runtime_failed', `${what}: ${said || 'ended without a word'}`);
}

/** The type bits of st_mode, inode(7). */
function kindOf(mode: number): PathStat['kind'] {
  switch (mode & 0o170000) {
    case 0o040000:
      return 'directory';
    case 0o100000:
      return 'file';
    case 0o120000:
      return 'symlink';
    default:
      return 'other';
  }
}
