/** What the plane has, asked again and again while someone looks; the rest of the page only shows it. */
import { useEffect, useState } from 'preact/hooks';
import type { CheckpointView } from '../../checkpoints/checkpoints.ts';
import type { ContainerView } from '../../http-api/schemas/containers.ts';
import type { GuestView } from '../../http-api/schemas/guests.ts';
import type { OperationView } from '../../operations/operation.ts';
import type { RestoreView } from '../../restores/restore.ts';
import { list, Problem } from './plane.ts';

export type Connection = 'loading' | 'live' | 'lost' | 'unauthorized';

export interface Live {
  connection: Connection;
  guests: GuestView[];
  containers: ContainerView[];
  checkpoints: CheckpointView[];
  restores: RestoreView[];
  /** Those under way. */
  operations: OperationView[];
}

const INTERVAL_MS = 2_000;
/** While pages are on their way, or an operation is. */
const BUSY_INTERVAL_MS = 500;
const MAX_RETRY_MS = 10_000;

let live: Live = {
  connection: 'loading',
  guests: [],
  containers: [],
  checkpoints: [],
  restores: [],
  operations: [],
};
let retryMs = 1_000;
let timer: ReturnType<typeof setTimeout> | undefined;
let asking = false;
const listeners = new Set<(live: Live) => void>();

export function useLive(): Live {
  const [value, setValue] = useState(live);
  useEffect(() => {
    listeners.add(setValue);
    return () => void listeners.delete(setValue);
  }, []);
  return value;
}

/** Asks now, and goes on asking. */
export async function refresh(): Promise<void> {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    const [guests, containers, checkpoints, restores, operations] = await Promise.all([
      list<GuestView>('/v1/guests'),
      list<ContainerView>('/v1/containers'),
      list<CheckpointView>('/v1/checkpoints'),
      list<RestoreView>('/v1/restores'),
      list<OperationView>('/v1/operations', '&phase=running'),
    ]);
    retryMs = 1_000;
    containers.sort((a, b) => a.name.localeCompare(b.name));
    operations.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    tell({ connection: 'live', guests, containers, checkpoints, restores, operations });
    const busy = operations.length > 0 || restores.some(isUnderWay);
    schedule(busy ? BUSY_INTERVAL_MS : INTERVAL_MS);
  } catch (error) {
    const refused = error instanceof Problem && error.status === 401;
    tell({ ...live, connection: refused ? 'unauthorized' : 'lost' });
    if (!refused) schedule(retryMs);
    retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
  } finally {
    asking = false;
  }
}

export const isUnderWay = ({ phase }: RestoreView): boolean => phase === 'restoring' || phase === 'running';

/** Nobody asks while the page is hidden, and at once when it is seen again. */
export function watchVisibility(): void {
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) void refresh();
  });
}

function schedule(delayMs: number): void {
  if (document.hidden) return;
  timer = setTimeout(() => void refresh(), delayMs);
}

function tell(next: Live): void {
  live = next;
  for (const listener of listeners) listener(live);
}
