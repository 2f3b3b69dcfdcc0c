/**
 * Owns what `offload up` has brought up: boots the guests, starts the plane, starts it again when it ends, and
 * takes everything down when it is told to. All of it are its children, which the kernel ends with it.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { OffloadError } from '../../platform/errors.ts';
import { processStartTicks } from '../../platform/processes.ts';
import { type PlaneProcess, startPlaneProcess } from '../plane-process.ts';
import type { Guest } from '../qemu/guest.ts';
import { type PreparedTestbed, prepareTestbed } from '../qemu/prepare.ts';
import { bootGuests } from '../testbed.ts';
import {
  claimRecord,
  removePlaces,
  type UpOptions,
  type UpPlaces,
  type UpRecord,
  writeRecord,
} from './record.ts';
import { syncGuests } from './register.ts';
import { nextRestart } from './restart-delay.ts';

const PLANE_STOP_TIMEOUT_MS = 10_000;
const TOKEN_BYTES = 32;

export interface Supervisor {
  /** Resolves when everything is up; rejects when it does not come up, with nothing left but the record. */
  ready: Promise<void>;
  /** Takes everything down and the record away. */
  stop(): Promise<void>;
}

/** @throws {OffloadError} already_exists when there is one already */
export function startSupervisor(options: UpOptions, places: UpPlaces): Supervisor {
  const stopping = new AbortController();
  const guests: Guest[] = [];
  let prepared: PreparedTestbed | undefined;
  let plane: PlaneProcess | undefined;
  let kept: Promise<void> | undefined;
  const record: UpRecord = {
    supervisor: { pid: process.pid, startTicks: processStartTicks(process.pid) ?? 0 },
    phase: 'starting',
    text: 'looking what is there',
    startedAt: new Date().toISOString(),
    options,
    socketPath: places.socketPath,
    tokenPath: places.tokenPath,
    planeRestartCount: 0,
    guests: [],
  };
  claimRecord(places, record);
  const tell = (change: Partial<UpRecord>) => {
    Object.assign(record, change);
    writeRecord(places, record);
  };
  const progress = (text: string) => tell({ text });

  async function bringUp(): Promise<void> {
    const { accelerator, guestCount, memoryMiB, vcpus } = options;
    prepared = await prepareTestbed({ progress, ...(accelerator ? { accelerator } : {}) });
    const names = Array.from({ length: guestCount }, (_, index) => guestName(index));
    progress(`booting ${names.join(', ')} with ${prepared.verdict.accelerator}`);
    const wanted = names.map((name) => ({ name, memoryMiB, vcpus }));
    await bootGuests(prepared, { guests: wanted }, guests);
    tellGuests();
    rmSync(places.linkPath, { force: true });
    symlinkSync(prepared.run.path, places.linkPath);
    writeFileSync(places.tokenPath, `${randomBytes(TOKEN_BYTES).toString('base64url')}\n`, { mode: 0o600 });
    mkdirSync(options.storeDirectory, { recursive: true, mode: 0o700 });
    const port = await portFrom(options.port);
    progress('starting the plane');
    tell({ url: `http://127.0.0.1:${port}` });
    await startPlane(prepared, port);
    kept = keepPlane(prepared, port);
  }

  /** Also when one of them ends. */
  function tellGuests(): void {
    tell({
      guests: guests.map(({ name, pid, accelerator, memoryMiB, vcpus }) => {
        return { name, pid, accelerator, memoryMiB, vcpus, running: true };
      }),
    });
    for (const { name, exited } of guests) {
      void exited.then(() => {
        const after = record.guests.map((guest) =>
          guest.name === name ? { ...guest, running: false } : guest,
        );
        if (!stopping.signal.aborted) tell({ guests: after });
      });
    }
  }

  async function startPlane({ run }: PreparedTestbed, port: number): Promise<void> {
    const logPath = run.file('plane.log');
    plane = await startPlaneProcess({
      run,
      socketPath: places.socketPath,
      storeDirectory: options.storeDirectory,
      logPath,
      args: ['--listen', `127.0.0.1:${port}`, '--token-file', places.tokenPath],
    });
    progress('registering guests with the plane');
    await syncGuests(plane.client.guests, guests, places.linkPath);
    tell({ phase: 'ready', text: '', planePid: plane.process.pid, planeLogPath: logPath });
  }

  /** Starts the plane again whenever it ends, until all is taken down. */
  async function keepPlane(from: PreparedTestbed, port: number): Promise<void> {
    let restarts = { soonCount: 0 };
    while (!stopping.signal.aborted) {
      const startedMs = performance.now();
      await plane?.process.exited;
      await plane?.client.close();
      if (stopping.signal.aborted) return;
      const next = nextRestart(restarts, performance.now() - startedMs);
      restarts = next;
      const planeRestartCount = record.planeRestartCount + 1;
      tell({ phase: 'restarting', text: `the plane ended and is started again`, planeRestartCount });
      await delay(next.delayMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      await startPlane(from, port).catch((error: Error) => tell({ text: error.message }));
    }
  }

  async function takeDown(): Promise<void> {
    stopping.abort();
    if (plane?.process.isRunning()) {
      plane.process.kill('SIGTERM');
      const timer = setTimeout(() => plane?.process.kill('SIGKILL'), PLANE_STOP_TIMEOUT_MS);
      await plane.process.exited;
      clearTimeout(timer);
    }
    await kept?.catch(() => {});
    await Promise.allSettled(guests.map((guest) => guest.stop()));
    await prepared?.run.remove();
  }

  let stopped = false;
  const ready = bringUp().catch(async (error: unknown) => {
    await takeDown();
    const text = error instanceof Error ? error.message : String(error);
    if (!stopped) tell({ phase: 'failed', text, guests: [] });
    throw error;
  });
  return {
    ready,
    async stop() {
      stopped = true;
      tell({ phase: 'stopping', text: 'ending the guests and the plane' });
      await takeDown();
      removePlaces(places);
    },
  };
}

const guestName = (index: number): string => `guest-${String.fromCharCode('a'.charCodeAt(0) + index)}`;

/** The wanted port when it is free, else any. */
async function portFrom(wanted: number): Promise<number> {
  for (const port of [wanted, 0]) {
    const server = createServer();
    const free = await new Promise<number | undefined>((resolve) => {
      server.once('error', () => resolve(undefined));
      server.listen(port, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    server.close();
    if (free !== undefined) return free;
  }
  throw new OffloadError('internal', 'up: no free port on 127.0.0.1');
}
