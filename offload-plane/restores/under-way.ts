/**
 * Restores whose pages are on their way, on disk: what the next plane needs to go on with one. The token is a
 * key to the container's memory; the database is the plane's user's alone.
 */
import { type Static, Type } from 'typebox';
import { RestoreResult } from '../../interconnect/agent-api.ts';
import type { ContainerRecipe } from '../containers/container.ts';
import type { SessionResult } from '../page-server/contract.ts';
import type { Database } from '../state/database.ts';
import { openDocuments } from '../state/documents.ts';
import type { Restore } from './restore.ts';

const Policy = Type.Enum(['eager', 'lazy', 'ordered', 'prefill']);

const Row = Type.Object({
  /** Its id. */
  container: Type.String(),
  checkpoint: Type.String(),
  guest: Type.String(),
  policy: Policy,
  effectivePolicy: Policy,
  token: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  planDigest: Type.String(),
  clonedFrom: Type.Optional(Type.Unsafe<ContainerRecipe>(Type.Object({}))),
  hold: Type.Boolean(),
  operation: Type.Optional(Type.String()),
  createdAtMs: Type.Number(),
  deadlineScale: Type.Number(),
  /** Since the restore request; once there was one. */
  firstResponse: Type.Optional(Type.Object({ atMs: Type.Number(), pageCount: Type.Integer() })),
  /** The container runs. */
  isRunning: Type.Boolean(),
  timings: Type.Optional(RestoreResult),
  /** The pager's last word. */
  result: Type.Optional(Type.Unsafe<Record<string, unknown>>(Type.Object({}))),
  /** Planes that ended since it began. */
  takeoverCount: Type.Integer(),
});

export type UnderWay = Omit<Static<typeof Row>, 'result'> & { result?: SessionResult };

export function openUnderWay(database: Database) {
  const rows = openDocuments(database, 'restore under way', Row);
  return {
    /** By the restore's id. */
    put: (id: string, { result, ...record }: UnderWay): void =>
      rows.put(id, { ...record, ...(result ? { result: asJson(result) } : {}) }),
    delete: (id: string): void => rows.delete(id),
    list: (): { id: string; record: UnderWay }[] =>
      rows.list().map(({ id, value: { result, ...record } }) => ({
        id,
        record: { ...record, ...(result ? { result: fromJson(result) } : {}) },
      })),
  };
}

export function recordOf(restore: Restore): UnderWay {
  const { container, checkpoint, policy, session, plan, hold, life, takeoverCount, deadlineScale } = restore;
  const { clonedFrom, firstResponse, result, operation } = restore;
  const timings = life.phase === 'running' ? life.timings : undefined;
  return {
    ...{ container: container.id, guest: container.guest, checkpoint, policy, hold },
    ...{ effectivePolicy: plan.effectivePolicy, token: session.token, planDigest: plan.digest },
    ...{ createdAtMs: Date.parse(restore.createdAt), deadlineScale, takeoverCount },
    ...(clonedFrom ? { clonedFrom } : {}),
    ...(operation === undefined ? {} : { operation }),
    ...(firstResponse ? { firstResponse } : {}),
    ...(result ? { result } : {}),
    isRunning: life.phase === 'running',
    ...(timings ? { timings } : {}),
  };
}

const asJson = (result: SessionResult): Record<string, unknown> => ({
  ...result,
  memoryDigest: String(result.memoryDigest),
  expectedDigest: String(result.expectedDigest),
});

const fromJson = (saved: Record<string, unknown>): SessionResult =>
  ({
    ...saved,
    memoryDigest: BigInt(String(saved.memoryDigest)),
    expectedDigest: BigInt(String(saved.expectedDigest)),
  }) as SessionResult;
