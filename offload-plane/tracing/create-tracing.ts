/** Traces by OpenTelemetry's spans. */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { type FinishedSpan, NO_TRACING, type OpenSpan, type Service, type Tracing } from './tracing.ts';

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT };
/** Version 00 of W3C Trace Context; nothing else is taken. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

export function createTracing(tracers: Record<Service, Tracer>): Tracing {
  const running = new AsyncLocalStorage<Context>();

  function record({ service, name, startMs, endMs, ...rest }: FinishedSpan, parent: Context): void {
    const { attributes = {}, events = [], children = [] } = rest;
    const span = tracers[service].startSpan(name, { startTime: startMs, attributes }, parent);
    for (const event of events) span.addEvent(event.name, undefined, event.atMs);
    const context = trace.setSpan(parent, span);
    for (const child of children) record(child, context);
    span.end(endMs);
  }

  function openSpan(span: Span, context: Context): OpenSpan {
    return {
      run: (work) => running.run(context, work),
      set: (attributes) => void span.setAttributes(attributes),
      record: (finished) => record(finished, context),
      headers: () => ({ traceparent: traceparentOf(span) }),
      end(error) {
        if (error !== undefined) {
          const message = error instanceof Error ? error.message : String(error);
          span.setStatus({ code: SpanStatusCode.ERROR, message });
        }
        span.end();
      },
    };
  }

  const tracing: Tracing = {
    ...NO_TRACING,
    enabled: true,
    begin(name, { attributes = {}, kind, traceparent } = {}) {
      const asked = traceparent === undefined ? undefined : contextOf(traceparent);
      const parent = asked ?? running.getStore() ?? ROOT_CONTEXT;
      const options = { attributes, ...(kind === undefined ? {} : { kind: KINDS[kind] }) };
      const span = tracers['offload-plane'].startSpan(name, options, parent);
      return openSpan(span, trace.setSpan(parent, span));
    },
    async within(name, attributes, work) {
      const span = tracing.begin(name, { attributes });
      try {
        const result = await span.run(work);
        span.end();
        return result;
      } catch (error) {
        span.end(error);
        throw error;
      }
    },
  };
  return tracing;
}

function contextOf(traceparent: string): Context | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  const traceFlags = Number.parseInt(flags!, 16) & TraceFlags.SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
