/**
 * Traces of what a request came to, in the plane, the guest's agent and the pager, under one trace id. Agent and
 * pager export nothing themselves: the plane makes their spans of the times they tell, and bounds those. Without
 * somebody who wants them nothing of OpenTelemetry is loaded.
 */
import type { Attributes } from '@opentelemetry/api';

export const SERVICES = ['offload-plane', 'offload-agent', 'offload-pager'] as const;
export type Service = (typeof SERVICES)[number];

/** A span that has ended already when it is told of. */
export interface FinishedSpan {
  service: Service;
  name: string;
  /** Milliseconds since the epoch. */
  startMs: number;
  endMs: number;
  attributes?: Attributes;
  events?: { name: string; atMs: number }[];
  children?: FinishedSpan[];
}

export interface OpenSpan {
  /** What begins meanwhile is below this span. */
  run<T>(work: () => T): T;
  set(attributes: Attributes): void;
  /** Tells of spans below this one. */
  record(span: FinishedSpan): void;
  /** For whoever is called on behalf of this span. */
  headers(): Record<string, string>;
  end(error?: unknown): void;
}

export interface BeginOptions {
  attributes?: Attributes;
  kind?: 'server' | 'client';
  /** Of the request that asks; else the span is below the one that runs. */
  traceparent?: string;
}

export interface Tracing {
  readonly enabled: boolean;
  begin(name: string, options?: BeginOptions): OpenSpan;
  /** A span around `work`, which ends as it does. */
  within<T>(name: string, attributes: Attributes, work: () => Promise<T>): Promise<T>;
  /** Milliseconds since the epoch, as fine as the clock is. */
  nowMs(): number;
}

const NO_SPAN: OpenSpan = {
  run: (work) => work(),
  set() {},
  record() {},
  headers: () => ({}),
  end() {},
};

/** Costs nothing. */
export const NO_TRACING: Tracing = {
  enabled: false,
  begin: () => NO_SPAN,
  within: (_name, _attributes, work) => work(),
  nowMs: () => performance.timeOrigin + performance.now(),
};
