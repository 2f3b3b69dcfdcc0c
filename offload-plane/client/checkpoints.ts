/** Calls about checkpoints. */
import type { Readable } from 'node:stream';
import type { CheckpointRequest } from '../checkpoints/checkpoints.ts';
import type { CheckpointContents } from '../checkpoints/contents/contract.ts';
import type { CheckpointDiff } from '../checkpoints/contents/diff-contract.ts';
import type { CheckpointView } from '../http-api/schemas/checkpoints.ts';
import { type PlaneConnection, part } from './connection.ts';

export const checkpointCalls = (plane: PlaneConnection) => {
  const at = (id: string, verb = '') => `/v1/checkpoints/${part(id)}${verb}`;
  return {
    list: () => plane.list<CheckpointView>('/v1/checkpoints'),
    create: (checkpoint: CheckpointRequest) => plane.postLong<CheckpointView>('/v1/checkpoints', checkpoint),
    inspect: (id: string) => plane.get<CheckpointView>(at(id)),
    contents: (id: string) => plane.get<CheckpointContents>(at(id, '/contents')),
    diff: (from: string, to: string) => plane.get<CheckpointDiff>(at(from, '/diff'), { with: to }),
    /** A tar. It fails in the middle where the checkpoint is damaged. */
    export: async (id: string): Promise<Readable> =>
      (await plane.send({ method: 'GET', path: at(id, '/export') })).body,
    /** @param totalBytes how long the tar is, where that is known */
    import(tar: Readable, as: { id?: string; tenant?: string } = {}, totalBytes?: number) {
      const upload = { kind: 'import', subject: as.id ?? 'checkpoint', totalBytes };
      return plane.upload<CheckpointView>({ path: '/v1/checkpoints/import', query: as, body: tar, upload });
    },
    pin: (id: string) => plane.put<CheckpointView>(at(id, '/pin')),
    async unpin(id: string): Promise<CheckpointView> {
      const answer = await plane.send({ method: 'DELETE', path: at(id, '/pin') });
      return (await answer.body.json()) as CheckpointView;
    },
    remove: (id: string) => plane.remove(at(id)),
  };
};
