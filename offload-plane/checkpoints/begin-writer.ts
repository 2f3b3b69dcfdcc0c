/**
 * A writer for a container's dump: equal pages of its tenant's checkpoints are stored once, and room for the
 * dump is made, or the checkpoint refused, before the container is touched.
 */
import { MIB } from '../../platform/units.ts';
import type { Container } from '../containers/container.ts';
import type { Guest } from '../guests/guest.ts';
import type { CheckpointWriter, PageStore } from '../page-store/contract.ts';
import { onTopOf, type ParentDump } from './lineage.ts';

export interface WriterRequest {
  id: string;
  container: Container;
  guest: Guest;
  deadlineMs: number;
  /** What has changed since is not known before: of such a dump each page is counted as it comes. */
  parent: ParentDump | undefined;
}

/** @throws {OffloadError} no_space, and nothing was evicted then */
export async function beginWriter(store: PageStore, request: WriterRequest): Promise<CheckpointWriter> {
  const { id, container, parent } = request;
  const writer = await store.begin(id, { tenant: container.recipe.tenant, ...onTopOf(parent) });
  try {
    if (parent === undefined) await writer.reserve(await mostBytes(request));
    return writer;
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** The guest's word, but no more than it has: it must not have us evict everything. */
async function mostBytes({ container, guest, deadlineMs }: WriterRequest): Promise<number> {
  const { memoryAnonymousBytes } = await guest.agent.call('containerStats', undefined, {
    params: { id: container.id },
    timeoutMs: deadlineMs,
  });
  return Math.min(memoryAnonymousBytes, guest.registration.memoryMiB * MIB);
}
