/** What a container is in each phase of its life. */
import type { ContainerPhase, ContainerSpec, ContainerState } from '../interconnect/agent-api.ts';
import { OffloadError } from '../platform/errors.ts';
import type { PagerProcess } from './pager-process.ts';
import type { TrackedDump } from './tracked-dumps.ts';

/** What is alive in each phase, and nothing else. */
export type Life =
  | { phase: 'created' | 'running' | 'paused'; pid: number }
  /** It still runs as long as frozenAtMs is absent: a pre-dump. */
  | { phase: 'checkpointing'; pid: number; frozenAtMs?: number }
  | { phase: 'restoring' }
  | { phase: 'stopped'; exitCode: number; oomKilled?: boolean };

export interface Container {
  spec: ContainerSpec;
  life: Life;
  /** The restore's pager, until it has ended. */
  pager?: PagerProcess | undefined;
  waiters: Set<() => void>;
  /** crun has not said yet that it runs: an exit is looked for when it has. */
  starting?: boolean;
  /** It is to go, with all that it has. */
  removing?: boolean;
  /** The dump since which the kernel tracks what the container changes. */
  trackedDump?: TrackedDump | undefined;
}

/** conmon or crun has not given its verdict; whoever waits for that looks for an exit then. */
export function isBeingMade({ life, starting }: Container): boolean {
  return starting === true || life.phase === 'restoring' || (life.phase === 'created' && life.pid === 0);
}

/** @throws {OffloadError} invalid_state naming the state, when it is none of `phases`; nothing changes */
export function expectPhase(container: Container, operation: string, ...phases: ContainerPhase[]): void {
  if (phases.includes(container.life.phase)) return;
  throw new OffloadError(
    'invalid_state',
    `${operation} container ${container.spec.id}: it is ${container.life.phase}, not ${phases.join(' or ')}`,
  );
}

export function stateOf({ life, spec, pager }: Container): ContainerState {
  return {
    id: spec.id,
    phase: life.phase,
    address: spec.address,
    ...('pid' in life ? { pid: life.pid } : {}),
    ...('exitCode' in life ? { exitCode: life.exitCode } : {}),
    ...('oomKilled' in life && life.oomKilled ? { oomKilled: true } : {}),
    ...(pager ? { pagesMissing: true } : {}),
  };
}
