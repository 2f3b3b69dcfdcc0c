/**
 * Pages of a checkpoint that cross while its container still runs. Each round is a checkpoint of its own in
 * the store, without images, on top of the one before; it goes once the real one has linked its pages.
 */
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { CheckpointManifest, CheckpointReader, PageStore } from '../page-store/contract.ts';
import { dumpPages } from './agent-dump.ts';
import { beginWriter } from './begin-writer.ts';
import type { CheckpointDeps, CheckpointJob, Transfer } from './checkpoint.ts';
import type { ParentDump } from './lineage.ts';

const Meta = Type.Object({ preDumpOf: Type.String() });

export const isPreDump = (manifest: CheckpointManifest): boolean => Value.Check(Meta, manifest.meta);

export function createPreDumps(job: CheckpointJob, { store, inbox, newToken }: CheckpointDeps) {
  const { container, guest, deadlineMs, signal, progress } = job;
  /** Open, so that none goes to make room for another checkpoint. */
  const held: CheckpointReader[] = [];
  return {
    /** One round; its dump is what the next one builds on. */
    async take(parent: ParentDump | undefined): Promise<{ transfer: Transfer; taken: ParentDump }> {
      const taken = { id: `${job.id}.pre-dump-${held.length + 1}`, token: newToken() };
      const writer = await beginWriter(store, { ...job, id: taken.id, parent });
      try {
        const { dump, answer } = await dumpPages({
          call: 'preDumpContainer',
          request: { token: taken.token, ...(parent === undefined ? {} : { parent: parent.token }) },
          container,
          guest,
          deadlineMs,
          signal,
          progress,
          writer,
          inbox,
        });
        await writer.commit({ preDumpOf: job.id });
        held.push(await store.open(taken.id));
        return { taken, transfer: { ...dump, preDump: true, ...frozenMsOf(answer) } };
      } catch (error) {
        await writer.abort();
        throw error;
      }
    },
    /** One that cannot be removed now goes at the next start. */
    async remove(): Promise<void> {
      await Promise.all(
        held.map(async (reader) => {
          await reader.close();
          await store.remove(reader.manifest.id).catch(() => undefined);
        }),
      );
    },
  };
}

/** What a plane that ended in the middle of a checkpoint has left. */
export async function removeLeftPreDumps(store: PageStore): Promise<void> {
  for (const manifest of await store.list()) if (isPreDump(manifest)) await store.remove(manifest.id);
}

const frozenMsOf = ({ frozenMs }: { frozenMs?: number }) => (frozenMs === undefined ? {} : { frozenMs });
