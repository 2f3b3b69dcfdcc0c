/** Guests as the plane meets them: how long their agents take, and what their containers come to. */
import type { Instruments } from './instruments.ts';

const CALL_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const PING_BUCKETS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];
/** Exit codes above are 128 and the number of a signal. */
const SIGNAL_CODE = 128;

export function createAgentMetrics({ counter, histogram }: Instruments) {
  const calls = histogram(
    'agent_call_duration_seconds',
    "Duration of calls to guests' agents",
    ['call', 'outcome'],
    CALL_BUCKETS,
  );
  const pings = histogram(
    'agent_round_trip_seconds',
    'From a PING to its answer, over the interconnect',
    ['guest'],
    PING_BUCKETS,
  );
  const lost = counter('guests_lost_total', 'Times that a guest was lost');
  const reconnects = counter(
    'guest_reconnects_total',
    'Connections to guests made anew after they had broken',
    ['guest'],
  );
  const restarts = counter(
    'agent_restarts_total',
    'Times that an agent was found to have been started anew',
    ['guest'],
  );
  const exits = counter('container_exits_total', 'Containers that ended, by how', ['outcome']);
  return {
    agentCall: (call: string, outcome: 'ok' | 'error', durationMs: number) =>
      calls.observe({ call, outcome }, durationMs / 1_000),
    agentPing: (guest: string, durationMs: number) => pings.observe({ guest }, durationMs / 1_000),
    guestLost: () => lost.inc(),
    guestReconnected: (guest: string) => reconnects.inc({ guest }),
    agentRestarted: (guest: string) => restarts.inc({ guest }),
    /** @param exitCode absent when the agent does not know it */
    containerExited: (exitCode: number | undefined) => exits.inc({ outcome: outcomeOf(exitCode) }),
  };
}

function outcomeOf(exitCode: number | undefined): 'success' | 'failure' | 'signal' | 'unknown' {
  if (exitCode === undefined) return 'unknown';
  if (exitCode > SIGNAL_CODE) return 'signal';
  return exitCode === 0 ? 'success' : 'failure';
}
