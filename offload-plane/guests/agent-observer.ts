/** Who watches the calls to agents: metrics count them, and a trace follows them into the guest. */
import { agentStreams } from '../../interconnect/agent-api.ts';
import { agentSpan } from '../tracing/agent-spans.ts';
import type { Tracing } from '../tracing/tracing.ts';

export interface CallOutcome {
  error?: unknown;
  answer?: unknown;
  /** The header of the answer. */
  serverTiming?: string | undefined;
}

export interface ObservedCall {
  /** They go along with the call. */
  readonly headers: Record<string, string>;
  end(outcome: CallOutcome): void;
}

export interface AgentObserver {
  begin(guest: string, call: string): ObservedCall;
  /** A PING came back. */
  pinged(guest: string, durationMs: number): void;
  /** Its connection had broken, and there is another. */
  reconnected(guest: string): void;
  /** Its agent is not the one it was before, though the guest is. */
  agentRestarted(guest: string): void;
}

export interface AgentMetrics {
  agentCall(call: string, outcome: 'ok' | 'error', durationMs: number): void;
  agentPing(guest: string, durationMs: number): void;
  guestReconnected(guest: string): void;
  agentRestarted(guest: string): void;
}

export const NO_OBSERVER: AgentObserver = {
  begin: () => ({ headers: {}, end() {} }),
  pinged() {},
  reconnected() {},
  agentRestarted() {},
};

export function createAgentObserver(metrics: AgentMetrics, tracing: Tracing): AgentObserver {
  return {
    begin(guest, call) {
      const span = tracing.begin(`agent ${call}`, { kind: 'client', attributes: { 'offload.guest': guest } });
      const startMs = tracing.nowMs();
      return {
        headers: span.headers(),
        end({ error, answer, serverTiming }) {
          const endMs = tracing.nowMs();
          metrics.agentCall(call, error === undefined ? 'ok' : 'error', endMs - startMs);
          const inside = tracing.enabled
            ? agentSpan({ call, guest, startMs, endMs, serverTiming, answer })
            : undefined;
          if (inside) span.record(inside);
          span.end(error);
        },
      };
    },
    pinged: (guest, durationMs) => metrics.agentPing(guest, durationMs),
    reconnected: metrics.guestReconnected,
    agentRestarted: metrics.agentRestarted,
  };
}

const STREAMS = Object.entries(agentStreams).map(([name, { method, path }]) => ({
  name,
  method: method as string,
  pattern: new RegExp(`^${path.replace(/:[a-z]+/g, '[^/]+')}(?:\\?|$)`),
}));

/** The name of a stream's call, of which there are few; a path has a container's id in it. */
export function streamName(method: string, path: string): string {
  return STREAMS.find((stream) => stream.method === method && stream.pattern.test(path))?.name ?? 'other';
}
