/**
 * One guest as the plane sees it: its agent, the sockets it dials the plane on, its disks. It is dialled again
 * when its connection breaks, and lost when its QEMU hangs up or it is not reached within the deadline; one
 * that is lost comes back when it can be reached again.
 */
import type { Duplex } from 'node:stream';
import type { AgentEvent, Health } from '../../interconnect/agent-api.ts';
import { DUMP_PORT, PAGE_PORT } from '../../interconnect/page-protocol.ts';
import { listenForGuest } from '../../interconnect/transport.ts';
import { OffloadError } from '../../platform/errors.ts';

import type { AgentClient } from './agent-client.ts';
import { createAgentLink } from './agent-link.ts';
import type { AgentObserver } from './agent-observer.ts';
import { backoffMs } from './backoff.ts';
import type { GuestDisks } from './guest-disks.ts';
import type { GuestRecord, GuestRegistration } from './guest-record.ts';
import { type GuestSession, openSession } from './guest-session.ts';

export type { GuestRegistration } from './guest-record.ts';

/** `unreachable`: its connection broke, or this plane has not reached it yet. */
export type GuestPhase = 'ready' | 'unreachable' | 'lost';

export interface GuestDeps {
  onPager(socket: Duplex, guest: string): void;
  onDump(socket: Duplex, guest: string): void;
  /** Called within the transaction that records the event as seen. */
  onEvent(event: AgentEvent, guest: string): void;
  /** Every event until now has been told. */
  onCaughtUp(guest: Guest): void;
  /** Its phase has changed. */
  onPhase(guest: Guest): void;
  newRequestId: () => string;
  /** Default: nobody. */
  observer?: AgentObserver;
  /** How long a guest that is registered may take to be reached. */
  connectTimeoutMs: number;
  /** How long one that is known may be out of reach before it is lost. */
  lostAfterMs: number;
}

export interface Guest {
  readonly registration: GuestRegistration;
  readonly health: Health;
  /** At least 1; deadlines for work inside the guest are multiplied by it. */
  readonly deadlineScale: number;
  readonly agent: AgentClient;
  /** As long as its QEMU is not connected there are none, and none can be had. */
  readonly disks: GuestDisks;
  readonly phase: GuestPhase;
  readonly lost: boolean;
  readonly cordoned: boolean;
  /** Why it was not reached the last time. */
  readonly lastError: unknown;
  close(): Promise<void>;
}

/** How a guest reads and writes what is on record of it. */
export interface GuestMemory {
  read(): GuestRecord | undefined;
  /** It was reached: by another instance all its containers are gone. */
  reached(health: Health): void;
  /** Records the event together with its effect; one that is on record already has none. */
  seen(event: AgentEvent): void;
}

/** Of a call's deadline, what the agent gets: it ends first, as it knows why. */
export const AGENT_SHARE = 0.8;
/** How long health's fixed work takes on a processor of today, unemulated. */
const REFERENCE_WORK_MS = 0.6;
const MAX_DEADLINE_SCALE = 30;
const MAX_DIALLED_CONNECTIONS = 64;
/** After a connection that lasted so long the next one is made at once. */
const STEADY_MS = 1_000;

/** Starts to listen for what the guest dials, and to dial its agent; resolves when it was reached first. */
export async function openGuest(
  registration: GuestRegistration,
  memory: GuestMemory,
  deps: GuestDeps,
): Promise<{ guest: Guest; reached: Promise<void> }> {
  const { name } = registration;
  const listeners = await listen(registration, deps);
  const link = createAgentLink(name, deps.newRequestId);
  const reached = Promise.withResolvers<void>();
  reached.promise.catch(() => undefined);
  const stopped = new AbortController();
  let phase: GuestPhase = 'unreachable';
  let session: GuestSession | undefined;
  let disks: GuestDisks | undefined;
  let lostTimer: NodeJS.Timeout | undefined;
  let lastError: unknown;

  const guest: Guest = {
    registration,
    get health() {
      const health = session?.health ?? memory.read()?.health;
      if (!health) throw notReached(name);
      return health;
    },
    get deadlineScale() {
      return Math.min(Math.max(guest.health.workMs / REFERENCE_WORK_MS, 1), MAX_DEADLINE_SCALE);
    },
    agent: link.agent,
    get disks() {
      return disks ?? noDisks(name);
    },
    get phase() {
      return phase;
    },
    get lost() {
      return phase === 'lost';
    },
    get cordoned() {
      return memory.read()?.cordoned ?? false;
    },
    get lastError() {
      return lastError;
    },
    async close() {
      stopped.abort();
      clearTimeout(lostTimer);
      phase = 'lost';
      for (const listener of listeners) listener.close();
      session?.close();
      link.agent.close();
      await disks?.close();
    },
  };

  function enter(next: GuestPhase): void {
    if (phase === next || stopped.signal.aborted) return;
    phase = next;
    if (next === 'lost') link.lost();
    deps.onPhase(guest);
  }

  function startLostTimer(): void {
    clearTimeout(lostTimer);
    lostTimer = setTimeout(() => enter('lost'), deps.lostAfterMs);
    lostTimer.unref();
  }

  async function connect(): Promise<GuestSession> {
    const opened = await openSession(registration, disks, deps.observer);
    disks = opened.disks;
    if (stopped.signal.aborted) {
      opened.session.close();
      await disks.close();
      throw notReached(name);
    }
    if (session !== undefined) deps.observer?.reconnected(name);
    session = opened.session;
    clearTimeout(lostTimer);
    memory.reached(session.health);
    link.connected(session.agent);
    enter('ready');
    session.follow(memory.read()?.lastEvent ?? 0, {
      event: (event) => memory.seen(event),
      caughtUp: () => deps.onCaughtUp(guest),
    });
    return session;
  }

  /** Until it is closed: dial, stay, dial again. */
  async function keep(): Promise<void> {
    // One that is being registered is not known yet, and cannot be lost.
    if (memory.read()) startLostTimer();
    for (let attempt = 0; !stopped.signal.aborted; attempt += 1) {
      try {
        const open = await connect();
        reached.resolve();
        const openedMs = performance.now();
        const why = await open.ended;
        open.close();
        // Each connection costs a write to the plane's disk: one that hangs up at once is dialled less and less.
        if (performance.now() - openedMs >= STEADY_MS) attempt = 0;
        if (why === 'qemu') await forgetDisks();
        if (stopped.signal.aborted) return;
        enter(why === 'qemu' ? 'lost' : 'unreachable');
        startLostTimer();
      } catch (error) {
        lastError = error;
        if (isFinal(error)) reached.reject(error);
      }
      await pause(backoffMs(attempt), stopped.signal);
    }
  }

  async function forgetDisks(): Promise<void> {
    await disks?.close();
    disks = undefined;
  }

  void keep();
  return { guest, reached: reached.promise };
}

function noDisks(name: string): GuestDisks {
  const refuse = async () => {
    throw notReached(name);
  };
  return {
    hold: refuse,
    release: refuse,
    detach: refuse,
    detachUnheld: refuse,
    releaseVolumes: refuse,
    holdersOf: () => [],
    lost: Promise.resolve(),
    close: async () => {},
  };
}

const notReached = (name: string) => new OffloadError('guest_lost', `guest ${name} is not connected`);

/** Who registers a guest need not wait: its agent answered, and what is wrong is something else. */
const isFinal = (error: unknown): boolean =>
  error instanceof OffloadError && (error.code === 'version_mismatch' || error.message.startsWith('QMP'));

function listen({ name, vsockPath }: GuestRegistration, deps: GuestDeps) {
  const maxConnections = MAX_DIALLED_CONNECTIONS;
  return Promise.all([
    listenForGuest(vsockPath, PAGE_PORT, {
      maxConnections,
      onConnection: (socket) => deps.onPager(socket, name),
    }),
    listenForGuest(vsockPath, DUMP_PORT, {
      maxConnections,
      onConnection: (socket) => deps.onDump(socket, name),
    }),
  ]);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** @throws {OffloadError} guest_lost */
export function expectAlive(guest: Guest, operation: string): void {
  if (guest.lost) {
    throw new OffloadError('guest_lost', `${operation}: guest ${guest.registration.name} is gone`);
  }
}
