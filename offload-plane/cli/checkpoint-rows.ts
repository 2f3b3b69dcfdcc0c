/** Checkpoints, restores and templates as people read them. */
import type { CheckpointView } from '../http-api/schemas/checkpoints.ts';
import type { RestoreView } from '../http-api/schemas/restores.ts';
import { PAGE_BYTES } from '../page-store/limits.ts';
import type { TemplateRecord } from '../templates/template.ts';
import { age, milliseconds, shortBytes } from './format.ts';

export const checkpointRow = (checkpoint: CheckpointView, nowMs: number): object => ({
  id: checkpoint.id,
  image: checkpoint.image,
  container: checkpoint.container,
  created: age(checkpoint.createdAt, nowMs),
  memory: shortBytes(checkpoint.pageCount * PAGE_BYTES),
  size: shortBytes(checkpoint.bytes),
  shared: shortBytes(checkpoint.sharedBytes),
  parent: checkpoint.parent ?? '-',
  order: checkpoint.hasOrderLog ? 'recorded' : '-',
  pinned: checkpoint.pinned ? 'yes' : '-',
});

export const restoreRow = (restore: RestoreView, nowMs: number): object => ({
  id: restore.id,
  checkpoint: restore.checkpoint,
  container: restore.container,
  guest: restore.guest,
  created: age(restore.createdAt, nowMs),
  phase: restore.phase,
  policy: policyOf(restore),
  'first response': milliseconds(restore.firstResponseMs),
  'all pages': milliseconds(restore.completeMs),
  faults: restore.faultCount,
  pushed: shortBytes(restore.pushedPageCount * PAGE_BYTES),
  memory: shortBytes(restore.totalPageCount * PAGE_BYTES),
  verified: restore.pagesVerified === undefined ? '-' : restore.pagesVerified ? 'yes' : 'no',
});

/** `ordered, as lazy` when there was no order log to go by. */
const policyOf = ({ policy, effectivePolicy }: RestoreView): string =>
  policy === effectivePolicy ? policy : `${policy}, as ${effectivePolicy}`;

export const templateRow = (template: TemplateRecord, nowMs: number): object => ({
  name: template.name,
  image: template.image,
  checkpoint: template.checkpoint,
  created: age(template.createdAt, nowMs),
  'working set':
    template.workingSetPageCount === undefined ? '-' : shortBytes(template.workingSetPageCount * PAGE_BYTES),
});
