/** Calls about images. */
import type { ImageRecord, ImportRequest } from '../images/image-store.ts';
import { type PlaneConnection, part } from './connection.ts';

export const imageCalls = (plane: PlaneConnection) => ({
  list: () => plane.get<ImageRecord[]>('/v1/images'),
  import: (image: Omit<ImportRequest, 'signal'>) => plane.post<ImageRecord>('/v1/images', image),
  inspect: (name: string) => plane.get<ImageRecord>(`/v1/images/${part(name)}`),
  remove: (name: string) => plane.remove(`/v1/images/${part(name)}`),
});
