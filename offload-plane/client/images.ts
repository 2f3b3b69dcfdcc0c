/** Calls about images. */
import type { ImageView } from '../http-api/schemas/images.ts';
import type { ImportRequest } from '../images/image-store.ts';
import { type PlaneConnection, part } from './connection.ts';

export const imageCalls = (plane: PlaneConnection) => ({
  list: () => plane.list<ImageView>('/v1/images'),
  import: (image: Omit<ImportRequest, 'signal'>) => plane.post<ImageView>('/v1/images', image),
  inspect: (name: string) => plane.get<ImageView>(`/v1/images/${part(name)}`),
  remove: (name: string) => plane.remove(`/v1/images/${part(name)}`),
});
