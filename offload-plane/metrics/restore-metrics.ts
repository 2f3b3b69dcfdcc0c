/** Restores by policy, and the pages that bring them. */
import type { PageServerMetrics, Policy, SessionResult } from '../page-server/contract.ts';
import type { Instruments } from './instruments.ts';

const FAULT_BUCKETS = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1];

export function createRestoreMetrics({ counter, histogram }: Instruments) {
  const byPolicy = ['policy'];
  const running = histogram('restore_running_seconds', 'From restore call to running container', byPolicy);
  const firstResponse = histogram(
    'restore_first_response_seconds',
    'From restore request to first byte',
    byPolicy,
  );
  const complete = histogram(
    'restore_complete_seconds',
    'From restore request to all pages in place',
    byPolicy,
  );
  const failures = counter('restore_failures_total', 'Restores that failed', byPolicy);
  const faults = counter('restore_demand_faults_total', 'Demand faults of complete restores', byPolicy);
  const pushed = counter('restore_pushed_pages_total', 'Pages pushed in complete restores', byPolicy);
  const pages = counter('pages_sent_total', 'Pages sent to pagers, by why', ['cause']);
  const answers = histogram(
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
    faultAnswered: (durationUs) => answers.observe(durationUs / 1e6),
    sessionEnded: (outcome, policy) => sessions.inc({ outcome, policy }),
    helloRefused: () => hellos.inc(),
  };
  return {
    pageServer,
    restoreRunning: (policy: Policy, durationMs: number) => running.observe({ policy }, durationMs / 1_000),
    firstResponse: (policy: Policy, durationMs: number) =>
      firstResponse.observe({ policy }, durationMs / 1_000),
    restoreComplete(policy: Policy, durationMs: number, result: SessionResult): void {
      complete.observe({ policy }, durationMs / 1_000);
      faults.inc({ policy }, result.demandFaults);
      pushed.inc({ policy }, result.pushed);
    },
    restoreFailed: (policy: Policy) => failures.inc({ policy }),
    orderLogIgnored: (reason: string) => ignored.inc({ reason }),
  };
}
