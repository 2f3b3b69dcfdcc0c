/** How many of what there are, looked at when somebody asks for the metrics. */
import type { Gauge } from 'prom-client';
import { PLANE_PHASES, type PlanePhase } from '../containers/container.ts';
import type { GuestPhase } from '../guests/guest.ts';
import type { OperationView } from '../operations/operation.ts';
import type { StoreFigures } from '../page-store/contract.ts';
import type { RestoreLife } from '../restores/restore.ts';
import type { Instruments } from './instruments.ts';

export interface Present {
  guests: readonly GuestPhase[];
  containers: readonly PlanePhase[];
  operations: readonly Pick<OperationView, 'kind' | 'phase'>[];
  restores: readonly RestoreLife['phase'][];
  store: StoreFigures;
}

const GUEST_PHASES: readonly GuestPhase[] = ['ready', 'unreachable', 'lost'];

export function createPresentMetrics({ gauge }: Instruments) {
  const guests = gauge('guests', 'Guests that are registered, by phase', ['phase']);
  const containers = gauge('containers', 'Containers, by phase', ['phase']);
  const operations = gauge('operations_running', 'Long calls under way, by kind', ['kind']);
  const restores = gauge('restores_running', 'Restores whose pages are still on their way');
  const used = gauge('store_used_bytes', 'Bytes of the page store in use, shared ones once');
  const shared = gauge(
    'store_shared_bytes',
    'Bytes that checkpoints refer to beside the one that wrote them',
  );
  const checkpoints = gauge('store_checkpoints', 'Checkpoints in the page store');
  const pinned = gauge('store_pinned_checkpoints', 'Checkpoints that are pinned');
  return {
    setPresent(present: Present): void {
      setCounts(guests, GUEST_PHASES, present.guests);
      setCounts(containers, PLANE_PHASES, present.containers);
      operations.reset();
      for (const { kind, phase } of present.operations) if (phase === 'running') operations.inc({ kind });
      restores.set(present.restores.filter((phase) => phase === 'restoring' || phase === 'running').length);
      used.set(present.store.usedBytes);
      shared.set(present.store.sharedBytes);
      checkpoints.set(present.store.checkpointCount);
      pinned.set(present.store.pinnedCount);
    },
  };
}

/** Phases in which nothing is are 0, so that a graph does not end where the last one left. */
function setCounts(gauge: Gauge, phases: readonly string[], present: readonly string[]): void {
  for (const phase of phases) gauge.set({ phase }, present.filter((other) => other === phase).length);
}
