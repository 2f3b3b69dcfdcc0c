/** How long containers stood still for their checkpoints. Their manifests are written before that is known. */
import { Type } from 'typebox';
import type { CheckpointManifest } from '../page-store/contract.ts';
import type { Database } from '../state/database.ts';
import { openDocuments } from '../state/documents.ts';

const FrozenTime = Type.Object({ createdAt: Type.String(), frozenMs: Type.Number() });

type Taken = Pick<CheckpointManifest, 'id' | 'createdAt'>;

export function openFrozenTimes(database: Database) {
  const times = openDocuments(database, 'frozen time', FrozenTime);
  return {
    /** Of a later checkpoint of the same name nothing is known. */
    of({ id, createdAt }: Taken): number | undefined {
      const time = times.get(id);
      return time?.createdAt === createdAt ? time.frozenMs : undefined;
    },
    keep({ id, createdAt }: Taken, frozenMs: number): void {
      times.put(id, { createdAt, frozenMs });
    },
    forget: (id: string): void => times.delete(id),
    /** Forgets those of checkpoints that are gone. */
    keepOnly(present: readonly Taken[]): void {
      const ids = new Set(present.map(({ id }) => id));
      database.transaction(() => {
        for (const { id } of times.list()) if (!ids.has(id)) times.delete(id);
      });
    },
  };
}
