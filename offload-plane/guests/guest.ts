/** One guest as the plane sees it: its agent, the sockets it dials the plane on, its disks. */
import type { Duplex } from 'node:stream';
import type { AgentEvent, Health } from '../../interconnect/agent-api.ts';
import { AGENT_PORT, DUMP_PORT, PAGE_PORT } from '../../interconnect/page-protocol.ts';
import { dialGuest, listenForGuest } from '../../interconnect/transport.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { type AgentClient, createAgentClient } from './agent-client.ts';
import { followEvents } from './agent-events.ts';
import type { AgentObserver } from './agent-observer.ts';
import { createGuestDisks, type GuestDisks } from './guest-disks.ts';

export interface GuestRegistration {
  name: string;
  /** The guest's vsock as a Unix socket, see transport.ts. */
  vsockPath: string;
  /** A QMP socket of its QEMU that is the plane's alone. */
  qmpPath: string;
  accelerator: string;
  memoryMiB: number;
  vcpus: number;
}

export interface GuestDeps {
  onPager(socket: Duplex, guest: string): void;
  onDump(socket: Duplex, guest: string): void;
  onEvent(event: AgentEvent, guest: string): void;
  onLost(guest: string): void;
  /** Default: nobody. */
  observer?: AgentObserver;
  connectTimeoutMs: number;
}

export interface Guest {
  readonly registration: GuestRegistration;
  readonly health: Health;
  /** At least 1; deadlines for work inside the guest are multiplied by it. */
  readonly deadlineScale: number;
  readonly agent: AgentClient;
  readonly disks: GuestDisks;
  readonly lost: boolean;
  close(): Promise<void>;
}

/** Of a call's deadline, what the agent gets: it ends first, as it knows why. */
export const AGENT_SHARE = 0.8;
/** How long health's fixed work takes on a processor of today, unemulated. */
const REFERENCE_WORK_MS = 0.6;
const MAX_DEADLINE_SCALE = 30;
const DIAL_TIMEOUT_MS = 5_000;
const HEALTH_TIMEOUT_MS = 30_000;
const RETRY_INTERVAL_MS = 100;
const PING_TIMEOUT_MS = 20_000;
const MAX_DIALLED_CONNECTIONS = 64;

/** Connects to a guest's agent and starts to listen for what the guest dials. */
export async function openGuest(registration: GuestRegistration, deps: GuestDeps): Promise<Guest> {
  const { name, vsockPath, qmpPath } = registration;
  const listeners = await Promise.all([
    listenForGuest(vsockPath, PAGE_PORT, {
      maxConnections: MAX_DIALLED_CONNECTIONS,
      onConnection: (socket) => deps.onPager(socket, name),
    }),
    listenForGuest(vsockPath, DUMP_PORT, {
      maxConnections: MAX_DIALLED_CONNECTIONS,
      onConnection: (socket) => deps.onDump(socket, name),
    }),
  ]);
  const closeListeners = () => {
    for (const listener of listeners) listener.close();
  };
  let agent: AgentClient | undefined;
  try {
    agent = await connectAgent(registration, deps);
    return await openReached(agent);
  } catch (error) {
    agent?.close();
    closeListeners();
    throw error;
  }

  async function openReached(agent: AgentClient): Promise<Guest> {
    const health = await agent.call('health', undefined, { timeoutMs: HEALTH_TIMEOUT_MS });
    const disks = await createGuestDisks(name, qmpPath);
    let lost = false;
    const stopEvents = followEvents(agent, (event) => deps.onEvent(event, name));
    void Promise.race([agent.closed, disks.lost]).then(() => {
      if (lost) return;
      lost = true;
      agent.close();
      deps.onLost(name);
    });
    return {
      registration,
      health,
      deadlineScale: Math.min(Math.max(health.workMs / REFERENCE_WORK_MS, 1), MAX_DEADLINE_SCALE),
      agent,
      disks,
      get lost() {
        return lost;
      },
      async close() {
        lost = true;
        stopEvents();
        closeListeners();
        agent.close();
        await disks.close();
      },
    };
  }
}

async function connectAgent(registration: GuestRegistration, deps: GuestDeps): Promise<AgentClient> {
  const { name, vsockPath } = registration;
  const socket = await pollUntil(() => dialGuest(vsockPath, AGENT_PORT, DIAL_TIMEOUT_MS), {
    timeoutMs: deps.connectTimeoutMs,
    intervalMs: RETRY_INTERVAL_MS,
    what: `register guest ${name}: reach its agent`,
  });
  return createAgentClient(name, socket, PING_TIMEOUT_MS, deps.observer);
}

/** @throws {OffloadError} guest_lost */
export function expectAlive(guest: Guest, operation: string): void {
  if (guest.lost) {
    throw new OffloadError('guest_lost', `${operation}: guest ${guest.registration.name} is gone`);
  }
}
