/** One restore as the plane records it, and what it tells of it. */

import type { MemoryComparison, RestoreResult } from '../../interconnect/agent-api.ts';
import type { ErrorCode } from '../../platform/errors.ts';
import type { Container, ContainerRecipe } from '../containers/container.ts';
import type { PageSession, Policy, SessionResult } from '../page-server/contract.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { Timeline } from './timeline.ts';
import type { RestoreTrace } from './trace-restore.ts';

export type RestoreLife =
  | { phase: 'restoring' }
  /** Without timings: an agent that was started again has forgotten them. */
  | { phase: 'running'; timings?: RestoreResult }
  /** Without a result: the pager has ended well, and no plane heard its last word. */
  | { phase: 'complete'; timings?: RestoreResult; result?: SessionResult; completeMs: number }
  | { phase: 'failed'; code: ErrorCode; message: string };

export interface Restore {
  readonly id: string;
  readonly checkpoint: string;
  readonly container: Container;
  /** What the checkpoint's container was, when this one is another. */
  readonly clonedFrom?: ContainerRecipe;
  readonly policy: Policy;
  readonly session: PageSession;
  readonly reader: CheckpointReader;
  readonly createdAt: string;
  readonly startedMs: number;
  readonly hold: boolean;
  readonly timeline: Timeline;
  readonly trace: RestoreTrace;
  readonly deadlineScale: number;
  /** The long call that ends when the container runs. */
  readonly operation?: string;
  /** Planes that ended since it began. */
  readonly takeoverCount: number;
  /** What the pager and CRIU were told at the beginning. */
  readonly plan: { effectivePolicy: Policy; digest: string };
  /** The digest over the pager's pages is not to be had. */
  readonly cannotVerify?: boolean;
  life: RestoreLife;
  /** When the first byte of the first response passed the published port, and how much was in place then. */
  firstResponse?: { atMs: number; pageCount: number } | undefined;
  /** What was restored has ended: what runs in the container now needs none of its pages. */
  hasEnded?: boolean;
  /** The pager's last word, which may come before the agent's. */
  result?: SessionResult;
  memory?: MemoryComparison;
  /** Once it has failed: resolves when nothing of it is left. */
  cleanedUp?: Promise<void>;
}

export interface RestoreView {
  id: string;
  createdAt: string;
  checkpoint: string;
  container: string;
  /** Its id, whatever it is called by now. */
  containerId: string;
  guest: string;
  /** It has a hostname and an address of its own. */
  clone: boolean;
  policy: Policy;
  /** What was done in the end: without an order log `ordered` and `prefill` are `lazy`. */
  effectivePolicy: Policy;
  phase: RestoreLife['phase'];
  /** Milliseconds since the restore request. */
  firstResponseMs?: number;
  completeMs?: number;
  pageCountAtResponse?: number;
  /** So many planes ended while it was under way; of faults and pushed pages only the last plane knows until it is complete. */
  takeoverCount?: number;
  faultCount: number;
  pushedPageCount: number;
  totalPageCount: number;
  /** Every page was brought once and with the checkpoint's digest. */
  pagesVerified?: boolean;
  recordedFaultCount?: number;
  timings?: RestoreResult;
  memory?: MemoryComparison;
  error?: { code: string; message: string };
}

export function viewOf(restore: Restore): RestoreView {
  const { life, session, firstResponse, reader, takeoverCount } = restore;
  const counters = session.counters();
  const result = life.phase === 'complete' ? life.result : undefined;
  const { pageCount, zeroPageCount } = reader.manifest;
  return {
    id: restore.id,
    createdAt: restore.createdAt,
    checkpoint: restore.checkpoint,
    container: restore.container.name,
    containerId: restore.container.id,
    guest: restore.container.guest,
    clone: restore.clonedFrom !== undefined,
    policy: restore.policy,
    effectivePolicy: restore.plan.effectivePolicy,
    phase: life.phase,
    ...(takeoverCount > 0 ? { takeoverCount } : {}),
    faultCount: result?.demandFaults ?? counters.faultCount,
    pushedPageCount: takeoverCount > 0 && result ? result.pushed : counters.pushSent,
    totalPageCount: pageCount - zeroPageCount,
    ...(session.recording.phase === 'written' ? { recordedFaultCount: session.recording.entryCount } : {}),
    ...(firstResponse
      ? {
          firstResponseMs: firstResponse.atMs,
          pageCountAtResponse: firstResponse.pageCount,
        }
      : {}),
    ...('timings' in life && life.timings ? { timings: life.timings } : {}),
    ...(life.phase === 'complete' ? { completeMs: life.completeMs } : {}),
    ...(result ? { pagesVerified: result.memoryVerified } : {}),
    ...(life.phase === 'failed' ? { error: { code: life.code, message: life.message } } : {}),
    ...(restore.memory ? { memory: restore.memory } : {}),
  };
}

export const isOver = ({ life }: Restore): boolean => life.phase === 'complete' || life.phase === 'failed';
