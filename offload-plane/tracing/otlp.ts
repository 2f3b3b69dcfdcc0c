/** Traces by OTLP over HTTP to wherever OpenTelemetry's own environment variables say. */
import type { Tracer } from '@opentelemetry/api';
import { NO_TRACING, SERVICES, type Service, type Tracing } from './tracing.ts';

export interface OpenTracing {
  tracing: Tracing;
  /** Sends what waits, within a bound. */
  close(): Promise<void>;
}

const CLOSE_TIMEOUT_MS = 3_000;
/** Spans that wait to be sent; more are dropped. */
const MAX_QUEUED_SPANS = 4_096;
const ENDPOINTS = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];

/** Off, and nothing of it is loaded, unless an endpoint is named. */
export async function openTracing(
  environment: NodeJS.ProcessEnv,
  { closeTimeoutMs = CLOSE_TIMEOUT_MS } = {},
): Promise<OpenTracing> {
  if (!ENDPOINTS.some((name) => environment[name])) return { tracing: NO_TRACING, close: async () => {} };
  const [
    { OTLPTraceExporter },
    { BatchSpanProcessor, TracerProvider },
    { resourceFromAttributes },
    { createTracing },
  ] = await Promise.all([
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('./create-tracing.ts'),
  ]);
  const providers = SERVICES.map(
    (service) =>
      new TracerProvider({
        resource: resourceFromAttributes({ 'service.name': service }),
        spanProcessors: [
          new BatchSpanProcessor({ exporter: new OTLPTraceExporter(), maxQueueSize: MAX_QUEUED_SPANS }),
        ],
      }),
  );
  const tracers = Object.fromEntries(
    SERVICES.map((service, index) => [service, providers[index]!.getTracer(service)]),
  ) as Record<Service, Tracer>;
  return {
    tracing: createTracing(tracers),
    async close() {
      const flushed = Promise.allSettled(providers.map((provider) => provider.shutdown()));
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, closeTimeoutMs);
      await Promise.race([flushed, late]);
      clearTimeout(timer);
    },
  };
}
