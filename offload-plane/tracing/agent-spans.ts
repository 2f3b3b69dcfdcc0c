/** The agent's part of a call, from what it says of its own time. A guest can say anything: all is bounded. */
import type { FinishedSpan } from './tracing.ts';

/** How long the agent was busy with the call, as it says in its answer (Server-Timing). */
const SERVER_TIMING = /^agent;dur=(\d{1,9}(?:\.\d{1,3})?)$/;

export interface AnsweredCall {
  call: string;
  guest: string;
  startMs: number;
  endMs: number;
  /** The header of the answer, if there was one. */
  serverTiming: string | undefined;
  answer: unknown;
}

interface Phase {
  name: string;
  fromMs: number;
  toMs: number;
}

/** Nothing of an agent that does not say how long it took. */
export function agentSpan(call: AnsweredCall): FinishedSpan | undefined {
  const said = SERVER_TIMING.exec(call.serverTiming ?? '')?.[1];
  if (said === undefined) return undefined;
  const wholeMs = call.endMs - call.startMs;
  const busyMs = Math.min(Number(said), wholeMs);
  // What it does not account for was on the way, there and back alike.
  const startMs = call.startMs + (wholeMs - busyMs) / 2;
  const within = (ms: number) => startMs + Math.min(Math.max(ms, 0), busyMs);
  return {
    service: 'offload-agent',
    name: call.call,
    startMs,
    endMs: startMs + busyMs,
    attributes: { 'offload.guest': call.guest },
    children: phasesOf(call, busyMs).map(({ name, fromMs, toMs }) => ({
      service: 'offload-agent',
      name,
      startMs: within(fromMs),
      endMs: within(Math.max(fromMs, toMs)),
    })),
  };
}

/** The parts of calls whose answers tell of them; in milliseconds since the call arrived. */
function phasesOf({ call, answer }: AnsweredCall, busyMs: number): Phase[] {
  const said = (answer ?? {}) as Partial<Record<string, number>>;
  const at = (key: string) => said[key] ?? 0;
  if (call === 'restoreContainer') {
    return [
      { name: 'prepare container', fromMs: 0, toMs: at('preparedMs') },
      { name: 'wait for pager', fromMs: at('preparedMs'), toMs: at('pagerReadyMs') },
      { name: 'criu restore', fromMs: at('pagerReadyMs'), toMs: at('runningMs') },
    ];
  }
  if (call === 'checkpointContainer' || call === 'preDumpContainer') {
    return [{ name: 'criu dump', fromMs: busyMs - at('dumpMs'), toMs: busyMs }];
  }
  return [];
}
