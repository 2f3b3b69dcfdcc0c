/**
 * The guest's half of a checkpoint: freeze, let CRIU dump through the relay to the plane, hand over the
 * metadata, and stand still until the plane has committed. A plane that falls silent is outlived: the
 * lease ends and the container runs on.
 */

import { once } from 'node:events';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { CheckpointResult } from '../interconnect/agent-api.ts';
import { relayDump } from '../interconnect/dump-stream.ts';
import { DUMP_PORT } from '../interconnect/page-protocol.ts';
import { OffloadError, toOffloadError } from '../platform/errors.ts';
import type { Container, Containers } from './containers.ts';
import type { EventLog } from './events.ts';
import type { RunProgram } from './run-program.ts';
import { dumpConfig } from './runtime/criu-config.ts';
import { criuFailure } from './runtime/criu-log.ts';
import type { Crun } from './runtime/crun.ts';

export interface CheckpointDeps {
  containers: Containers;
  crun: Crun;
  run: RunProgram;
  events: EventLog;
  /** Dials a port of the plane. */
  dialPlane: (port: number) => Promise<Duplex>;
  nowMs: () => number;
}

/**
 * Unacknowledged bytes of a dump. What fits into the Unix socket behind the vsock daemon (some 200 KiB)
 * never makes the daemon fall back on its own buffer, and that is where it stalls.
 */
const DUMP_WINDOW_BYTES = 128 * 1024;

/** A dump under way. */
interface Dump {
  cancelled: boolean;
  /** Takes its page server away from CRIU, which then gives up. */
  cutOff(): void;
  /** Resolves when the container runs on, or stands still for the files to be fetched. */
  ended: Promise<void>;
}

interface Lease {
  timer: NodeJS.Timeout;
}

export function createCheckpoints(deps: CheckpointDeps) {
  const { containers, crun, run, events, nowMs } = deps;
  const leases = new Map<string, Lease>();
  const dumps = new Map<string, Dump>();

  /** Thaws; what is left of the container's dump goes. */
  async function resume(container: Container): Promise<number> {
    const { id } = container.spec;
    endLease(id);
    if (container.life.phase !== 'checkpointing') return 0;
    const { pid, frozenAtMs } = container.life;
    try {
      await crun.resume(id);
    } catch (error) {
      // It stands still for all that is known: such a container can still be ended.
      if (container.life.phase === 'checkpointing') container.life = { phase: 'paused', pid };
      throw error;
    }
    if (container.life.phase !== 'checkpointing') return 0;
    const frozenMs = nowMs() - frozenAtMs;
    container.life = { phase: 'running', pid };
    events.emit({ container: id, event: 'resumed' });
    await removeDump(id);
    return frozenMs;
  }

  async function removeDump(id: string): Promise<void> {
    const own = containers.paths(id);
    await rm(own.dumpImages, { recursive: true, force: true });
    await rm(own.dumpRootfsDiff, { force: true });
  }

  function endLease(id: string): void {
    clearTimeout(leases.get(id)?.timer);
    leases.delete(id);
  }

  async function dump(container: Container, token: string, deadlineMs: number, current: Dump): Promise<void> {
    const { id } = container.spec;
    const own = containers.paths(id);
    await rm(own.dumpImages, { recursive: true, force: true });
    await mkdir(own.dumpImages, { recursive: true });
    const relay = await openRelay({ token, deadlineMs, dialPlane: deps.dialPlane });
    current.cutOff = relay.close;
    try {
      if (current.cancelled) throw new OffloadError('invalid_state', `checkpoint container ${id}: cancelled`);
      await writeFile(own.criuConfig, dumpConfig(relay));
      await crun
        .checkpoint(id, { images: own.dumpImages, work: own.dumpImages, timeoutMs: deadlineMs })
        .catch(async (error: unknown) => {
          throw await criuFailure(`checkpoint container ${id}`, `${own.dumpImages}/dump.log`, error);
        });
      await relay.finished();
    } finally {
      relay.close();
    }
  }

  /** Counts what the container changed in its root filesystem and, if anything, packs it. */
  async function packRootfsDiff(id: string): Promise<number> {
    const own = containers.paths(id);
    const entries = await readdir(own.upper);
    if (entries.length === 0) return 0;
    await run('tar', [
      '--xattrs',
      '--xattrs-include=*',
      '--numeric-owner',
      '-cf',
      own.dumpRootfsDiff,
      '-C',
      own.upper,
      '.',
    ]);
    return entries.length;
  }

  return {
    /** Leaves the container frozen in phase `checkpointing`, until finish() or the lease ends. */
    async begin(id: string, token: string, deadlineMs: number): Promise<CheckpointResult> {
      const container = containers.get(id);
      containers.expectPhase(container, 'checkpoint', 'running');
      const { pid } = container.life as { pid: number };
      const frozenAtMs = nowMs();
      container.life = { phase: 'checkpointing', pid, frozenAtMs };
      leases.set(id, { timer: setTimeout(() => void resume(container).catch(() => undefined), deadlineMs) });
      const over = Promise.withResolvers<void>();
      const current: Dump = { cancelled: false, cutOff: () => undefined, ended: over.promise };
      dumps.set(id, current);
      let frozen = false;
      try {
        await crun.pause(id);
        frozen = true;
        await dump(container, token, deadlineMs, current);
        const dumpMs = nowMs() - frozenAtMs;
        const rootfsDiffFileCount = await packRootfsDiff(id);
        const imageFiles = (await readdir(containers.paths(id).dumpImages)).filter((name) => isImage(name));
        // What was packed after the lease ended is of a container that runs again.
        containers.expectPhase(container, 'keep frozen', 'checkpointing');
        return { dumpMs, imageFiles, rootfsDiffFileCount };
      } catch (error) {
        if (!frozen && container.life.phase === 'checkpointing') container.life = { phase: 'running', pid };
        endLease(id);
        await resume(container).catch(() => undefined);
        throw toOffloadError(error, `checkpoint container ${id}`);
      } finally {
        dumps.delete(id);
        over.resolve();
      }
    },
    /** In the middle of the dump `resume` cuts it off. */
    async finish(id: string, action: 'resume' | 'stop'): Promise<number> {
      const container = containers.get(id);
      if (container.life.phase !== 'checkpointing') endLease(id);
      containers.expectPhase(container, `${action} after checkpoint of`, 'checkpointing');
      const { pid, frozenAtMs } = container.life as { pid: number; frozenAtMs: number };
      const current = dumps.get(id);
      if (action === 'resume' && current) {
        current.cancelled = true;
        current.cutOff();
        await current.ended;
        await resume(container);
        return nowMs() - frozenAtMs;
      }
      if (action === 'resume') return resume(container);
      endLease(id);
      container.life = { phase: 'running', pid };
      // A frozen cgroup is killed at once by cgroup.kill; crun's SIGKILL would wait for a thaw.
      await writeFile(`${containers.paths(id).cgroup}/cgroup.kill`, '1');
      await containers.waitStopped(id);
      events.emit({ container: id, event: 'checkpointed' });
      await removeDump(id);
      return nowMs() - frozenAtMs;
    },
  };
}
export type Checkpoints = ReturnType<typeof createCheckpoints>;

/** CRIU's logs and statistics are no part of a checkpoint. */
export function isImage(name: string): boolean {
  return name.endsWith('.img') || name === 'descriptors.json';
}

interface Relay {
  address: string;
  port: number;
  /** Resolves when CRIU has hung up and the plane has taken every byte. */
  finished(): Promise<void>;
  close(): void;
}

/** Listens for CRIU on loopback; what it says goes to the plane with acknowledgements (see dump-stream.ts). */
async function openRelay(options: {
  token: string;
  deadlineMs: number;
  dialPlane: (port: number) => Promise<Duplex>;
}): Promise<Relay> {
  const address = '127.0.0.1';
  const plane = await options.dialPlane(DUMP_PORT);
  const server = createServer({ allowHalfOpen: true });
  server.maxConnections = 1;
  server.listen({ host: address, port: 0 });
  await once(server, 'listening');
  let criu: Socket | undefined;
  let relayed: Promise<unknown> | undefined;
  server.on('connection', (socket) => {
    criu = socket;
    const relaying = relayDump(socket, plane, {
      token: Buffer.from(options.token, 'hex'),
      windowBytes: DUMP_WINDOW_BYTES,
      idleDeadlineMs: options.deadlineMs,
    });
    relaying.catch(() => socket.destroy());
    relayed = relaying;
  });
  return {
    address,
    port: (server.address() as { port: number }).port,
    async finished() {
      if (!relayed)
        throw new OffloadError('runtime_failed', 'checkpoint: CRIU never reached the page server');
      await relayed;
    },
    close() {
      server.close();
      criu?.destroy();
      plane.destroy();
    },
  };
}
