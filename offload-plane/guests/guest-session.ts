/** One connection to a guest, from the dial to its end: agent, QMP, and the event stream. */
import { AGENT_API_VERSION, type AgentEvent, type Health } from '../../interconnect/agent-api.ts';
import { AGENT_PORT } from '../../interconnect/page-protocol.ts';
import { PEER_TIMEOUT_MS } from '../../interconnect/peer-watch.ts';
import { dialGuest } from '../../interconnect/transport.ts';
import { OffloadError } from '../../platform/errors.ts';
import { type AgentClient, createAgentClient } from './agent-client.ts';
import { followEvents } from './agent-events.ts';
import type { AgentObserver } from './agent-observer.ts';
import { createGuestDisks, type GuestDisks } from './guest-disks.ts';
import type { GuestRegistration } from './guest-record.ts';

const DIAL_TIMEOUT_MS = 5_000;
const HEALTH_TIMEOUT_MS = 30_000;

export interface GuestSession {
  readonly health: Health;
  readonly agent: AgentClient;
  /** Why it ended: QEMU is gone, or only the connection to the agent. */
  readonly ended: Promise<'qemu' | 'agent'>;
  /** Events after `since`, from now on; `onCaughtUp` after those that had happened by then. */
  follow(since: number, on: { event(event: AgentEvent): void; caughtUp(): void }): void;
  close(): void;
}

/** @param disks those of a QEMU that is still connected; else it is connected to as well */
export async function openSession(
  { name, vsockPath, qmpPath }: GuestRegistration,
  disks: GuestDisks | undefined,
  observer?: AgentObserver,
): Promise<{ session: GuestSession; disks: GuestDisks }> {
  const socket = await dialGuest(vsockPath, AGENT_PORT, DIAL_TIMEOUT_MS);
  const agent = createAgentClient(name, socket, PEER_TIMEOUT_MS, observer);
  try {
    const health = await agent.call('health', undefined, { timeoutMs: HEALTH_TIMEOUT_MS });
    expectVersion(name, health.apiVersion);
    const reached = disks ?? (await createGuestDisks(name, qmpPath));
    return { session: sessionOf(agent, health, reached), disks: reached };
  } catch (error) {
    agent.close();
    throw error;
  }
}

function sessionOf(agent: AgentClient, health: Health, disks: GuestDisks): GuestSession {
  let stopEvents = () => {};
  return {
    health,
    agent,
    ended: Promise.race([agent.closed.then(() => 'agent' as const), disks.lost.then(() => 'qemu' as const)]),
    follow(since, on) {
      stopEvents = followEvents(agent, since, on);
    },
    close() {
      stopEvents();
      agent.close();
    },
  };
}

/** @throws {OffloadError} version_mismatch */
function expectVersion(guest: string, version: number): void {
  if (version === AGENT_API_VERSION) return;
  throw new OffloadError(
    'version_mismatch',
    `register guest ${guest}: its agent speaks version ${version} of the agent's API, this plane version ${AGENT_API_VERSION}`,
  );
}
