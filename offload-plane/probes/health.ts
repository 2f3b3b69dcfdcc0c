/** What a row of probe results makes of a container's health: Docker's rules. Pure. */
import type { Health } from '../containers/container.ts';

export interface HealthState {
  health: Health;
  /** Failures in a row that count. */
  failureCount: number;
}

export interface HealthRules {
  /** So many failures in a row make it unhealthy. */
  retries: number;
  /** Failures do not count so long after its start, until it was healthy once. */
  startPeriodMs: number;
}

export const STARTING: HealthState = { health: 'starting', failureCount: 0 };

export function afterProbe(
  { health, failureCount }: HealthState,
  succeeded: boolean,
  sinceStartMs: number,
  { retries, startPeriodMs }: HealthRules,
): HealthState {
  if (succeeded) return { health: 'healthy', failureCount: 0 };
  if (health === 'starting' && sinceStartMs < startPeriodMs) return { health, failureCount };
  const failures = failureCount + 1;
  return { health: failures >= retries ? 'unhealthy' : health, failureCount: failures };
}
