/**
 * Which checkpoint a running container's next one may build on: its last, and only while the container runs
 * on in the same guest. The agent knows that dump by its token. It is on record with the container, so that
 * a plane that is started again goes on with the chain.
 */
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Container, TrackedDump } from '../containers/container.ts';
import type {
  BeginOptions,
  CheckpointManifest,
  CheckpointReader,
  PageStore,
} from '../page-store/contract.ts';

export interface ParentDump {
  /** Of the checkpoint that has its pages. */
  id: string;
  token: string;
}

export function createLineage(store: PageStore) {
  return {
    /**
     * The parent stays in the store until the reader is closed.
     * @throws {OffloadError} not_found when it is gone; invalid_state when the container's changes are not
     * tracked since it; digest_mismatch when it is another one of the same name
     */
    async open(container: Container, id: string): Promise<{ parent: ParentDump; reader: CheckpointReader }> {
      const operation = `checkpoint container ${container.name} on top of ${id}`;
      const reader = await store.open(id).catch((error: unknown) => {
        const known = toOffloadError(error, operation);
        throw new OffloadError(known.code, `${operation}: ${known.message}`, { cause: error });
      });
      try {
        return { parent: expectLast(container.trackedDump, reader.manifest, operation), reader };
      } catch (error) {
        await reader.close();
        throw error;
      }
    },
    note(container: Container, dump: TrackedDump): void {
      container.recorder.change(container, { trackedDump: dump });
    },
    forget(container: Container): void {
      container.recorder.change(container, { trackedDump: undefined });
    },
  };
}
/** A dump that builds on another names each page that it leaves to that one. */
export const onTopOf = (parent: ParentDump | undefined): BeginOptions =>
  parent === undefined ? {} : { parent: parent.id, inherit: 'named' };

export type Lineage = ReturnType<typeof createLineage>;

function expectLast(
  tracked: TrackedDump | undefined,
  { id, digest }: CheckpointManifest,
  operation: string,
): ParentDump {
  if (tracked?.id !== id) {
    const since = tracked === undefined ? 'no checkpoint' : `checkpoint ${tracked.id}`;
    throw new OffloadError('invalid_state', `${operation}: its changes are tracked since ${since}`);
  }
  if (tracked.digest !== digest) {
    throw new OffloadError(
      'digest_mismatch',
      `${operation}: it has the digest ${digest}, the one that was taken had ${tracked.digest}`,
    );
  }
  return tracked;
}
