/** Calls about restores. */
import type { RestoreBody, RestoreView } from '../http-api/schemas/restores.ts';
import { type PlaneConnection, part } from './connection.ts';

export const restoreCalls = (plane: PlaneConnection) => {
  const at = (id: string, verb = '') => `/v1/restores/${part(id)}${verb}`;
  return {
    list: () => plane.list<RestoreView>('/v1/restores'),
    create: (restore: RestoreBody) => plane.postLong<RestoreView>('/v1/restores', restore),
    inspect: (id: string) => plane.get<RestoreView>(at(id)),
    compareMemory: (id: string) => plane.post<RestoreView>(at(id, '/memory-comparison')),
  };
};
