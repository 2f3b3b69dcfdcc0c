/** Every metric of the plane, named by Prometheus' conventions, in base units; docs/metrics.md is made from it. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import { createAgentMetrics } from './metrics/agent-metrics.ts';
import { createInstruments } from './metrics/instruments.ts';
import { createOperationMetrics } from './metrics/operation-metrics.ts';
import { createPresentMetrics } from './metrics/present-metrics.ts';
import { createRestoreMetrics } from './metrics/restore-metrics.ts';
import { createStoreMetrics } from './metrics/store-metrics.ts';

export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const instruments = createInstruments(registry);
  const requests = instruments.histogram('http_request_duration_seconds', 'Duration of API requests', [
    'method',
    'route',
    'status',
  ]);
  return {
    registry,
    text: () => registry.metrics(),
    contentType: registry.contentType,
    request: (method: string, route: string, status: number, durationMs: number) =>
      requests.observe({ method, route, status: String(status) }, durationMs / 1_000),
    ...createPresentMetrics(instruments),
    ...createAgentMetrics(instruments),
    ...createOperationMetrics(instruments),
    ...createStoreMetrics(instruments),
    ...createRestoreMetrics(instruments),
  };
}
export type Metrics = ReturnType<typeof createMetrics>;
