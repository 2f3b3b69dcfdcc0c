/** Calls about volumes. */
import type { PruneView } from '../http-api/schemas/images.ts';
import type { VolumeView } from '../http-api/schemas/volumes.ts';
import type { VolumeRequest } from '../volumes/volume-store.ts';
import { type PlaneConnection, part } from './connection.ts';

export const volumeCalls = (plane: PlaneConnection) => ({
  list: () => plane.list<VolumeView>('/v1/volumes'),
  create: (volume: VolumeRequest) => plane.post<VolumeView>('/v1/volumes', volume),
  prune: () => plane.post<PruneView>('/v1/volumes/prune'),
  inspect: (name: string) => plane.get<VolumeView>(`/v1/volumes/${part(name)}`),
  remove: (name: string) => plane.remove(`/v1/volumes/${part(name)}`),
});
