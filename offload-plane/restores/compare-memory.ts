/**
 * Compares a restored container's memory with its checkpoint, page by page; the container stands still meanwhile.
 * Also of a restore that was complete before this plane began, from what is on record of it.
 */
import { Value } from 'typebox/value';
import { agentPath, agentStreams, MemoryComparison } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Container } from '../containers/container.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { Course, RestoresDeps } from './course.ts';
import { memoryIndex } from './memory-index.ts';
import { type RestoreView, viewOf } from './restore.ts';

type Deps = Pick<RestoresDeps, 'containers' | 'guests' | 'store'>;

export function createMemoryComparison(course: Course, { containers, guests, store }: Deps) {
  const { restores, past, deadlineFor } = course;

  const refuse = ({ id }: RestoreView, why: string): OffloadError =>
    new OffloadError('invalid_state', `compare memory of restore ${id}: ${why}`);

  function containerOf(view: RestoreView): Container {
    const container = containers.records().find(({ id }) => id === view.containerId);
    if (container === undefined) throw refuse(view, `its container ${view.container} is gone`);
    if (container.finishedAtMs === undefined) return container;
    throw refuse(
      view,
      `container ${container.name} has ended since, and with it the memory that was restored`,
    );
  }

  async function ask(view: RestoreView, reader: CheckpointReader): Promise<MemoryComparison> {
    const container = containerOf(view);
    const guest = guests.get(container.guest);
    const { method, path } = agentStreams.compareMemory;
    const answer = await guest.agent.upload(
      { method, path: agentPath(path, { id: container.id }), timeoutMs: deadlineFor(guest) },
      memoryIndex(reader),
    );
    if (Value.Check(MemoryComparison, answer)) return answer;
    throw new OffloadError(
      'guest_lost',
      `compare memory of restore ${view.id}: an answer outside the schema`,
    );
  }

  async function comparePast(view: RestoreView): Promise<RestoreView> {
    containerOf(view);
    const reader = await store.open(view.checkpoint).catch((error: unknown) => {
      const isGone = error instanceof OffloadError && error.code === 'not_found';
      throw isGone ? refuse(view, `checkpoint ${view.checkpoint} is gone`) : error;
    });
    try {
      if (reader.manifest.createdAt > view.createdAt) {
        throw refuse(view, `checkpoint ${view.checkpoint} has been made anew since`);
      }
      const compared = { ...view, memory: await ask(view, reader) };
      past.replace(compared);
      return compared;
    } finally {
      await reader.close();
    }
  }

  return async (view: RestoreView): Promise<RestoreView> => {
    if (view.phase !== 'complete') throw refuse(view, `it is ${view.phase}, not complete`);
    const restore = restores.get(view.id);
    if (restore === undefined) return comparePast(view);
    restore.memory = await ask(view, restore.reader);
    course.keepEnded(restore);
    return viewOf(restore);
  };
}
