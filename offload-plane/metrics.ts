/** Every metric of the plane, named by Prometheus' conventions, in base units. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CheckpointOutcome } from './checkpoints/checkpoint.ts';
import type { PageServerMetrics, Policy, SessionResult } from './page-server/contract.ts';
import type { StoreFigures } from './page-store/contract.ts';

const SECONDS_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const FAULT_BUCKETS = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1];

export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `offload_${name}`, help, labelNames, registers });
  const histogram = (name: string, help: string, labelNames: string[] = [], buckets = SECONDS_BUCKETS) =>
    new Histogram({ name: `offload_${name}`, help, labelNames, buckets, registers });

  const guests = new Gauge({
    name: 'offload_guests',
    help: 'Guests that are registered and alive',
    registers,
  });
  const gauge = (name: string, help: string) => new Gauge({ name: `offload_${name}`, help, registers });
  const storeUsed = gauge('store_used_bytes', 'Bytes of the page store in use, shared ones once');
  const storeShared = gauge(
    'store_shared_bytes',
    'Bytes that checkpoints refer to beside the one that wrote them',
  );
  const storeCheckpoints = gauge('store_checkpoints', 'Checkpoints in the page store');
  const storePinned = gauge('store_pinned_checkpoints', 'Checkpoints that are pinned');
  const evictions = counter('store_evictions_total', 'Checkpoints removed to make room for others');
  const requests = histogram('http_request_duration_seconds', 'Duration of API requests', [
    'method',
    'route',
    'status',
  ]);
  const checkpoints = counter('checkpoints_total', 'Checkpoints committed');
  const checkpointBytes = counter('checkpoint_bytes_total', 'Bytes received from guests for checkpoints');
  const frozen = histogram('checkpoint_frozen_seconds', 'Time a container stood still for a checkpoint');
  const running = histogram('restore_running_seconds', 'From restore call to running container', ['policy']);
  const firstResponse = histogram('restore_first_response_seconds', 'From restore request to first byte', [
    'policy',
  ]);
  const complete = histogram('restore_complete_seconds', 'From restore request to all pages in place', [
    'policy',
  ]);
  const failures = counter('restore_failures_total', 'Restores that failed', ['policy']);
  const faults = counter('restore_demand_faults_total', 'Demand faults of complete restores', ['policy']);
  const pages = counter('pages_sent_total', 'Pages sent to pagers', ['cause']);
  const faultAnswer = histogram(
    'fault_answer_seconds',
    'From a FAULT to its answer handed over',
    [],
    FAULT_BUCKETS,
  );
  const sessions = counter('page_sessions_total', 'Page sessions that ended', ['outcome', 'policy']);
  const hellos = counter('page_hellos_refused_total', 'Pagers with a wrong or foreign token');
  const ignored = counter('order_logs_ignored_total', 'Order logs that did not fit', ['reason']);

  const pageServer: PageServerMetrics = {
    pagesSent: (cause, pageCount) => pages.inc({ cause }, pageCount),
    faultAnswered: (durationUs) => faultAnswer.observe(durationUs / 1e6),
    sessionEnded: (outcome, policy) => sessions.inc({ outcome, policy }),
    helloRefused: () => hellos.inc(),
  };
  return {
    pageServer,
    text: () => registry.metrics(),
    contentType: registry.contentType,
    setGuestCount: (count: number) => guests.set(count),
    setStore({ usedBytes, sharedBytes, checkpointCount, pinnedCount }: StoreFigures): void {
      storeUsed.set(usedBytes);
      storeShared.set(sharedBytes);
      storeCheckpoints.set(checkpointCount);
      storePinned.set(pinnedCount);
    },
    checkpointEvicted: () => evictions.inc(),
    request: (method: string, route: string, status: number, durationMs: number) =>
      requests.observe({ method, route, status: String(status) }, durationMs / 1000),
    checkpointTaken({ frozenMs, transfers }: CheckpointOutcome): void {
      checkpoints.inc();
      for (const { receivedBytes } of transfers) checkpointBytes.inc(receivedBytes);
      frozen.observe(frozenMs / 1000);
    },
    restoreRunning: (policy: Policy, durationMs: number) => running.observe({ policy }, durationMs / 1000),
    firstResponse: (policy: Policy, durationMs: number) =>
      firstResponse.observe({ policy }, durationMs / 1000),
    restoreComplete(policy: Policy, durationMs: number, result: SessionResult): void {
      complete.observe({ policy }, durationMs / 1000);
      faults.inc({ policy }, result.demandFaults);
    },
    restoreFailed: (policy: Policy) => failures.inc({ policy }),
    orderLogIgnored: (reason: string) => ignored.inc({ reason }),
  };
}
export type Metrics = ReturnType<typeof createMetrics>;
