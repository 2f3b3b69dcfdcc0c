/** Calls about images. */
import type { Readable } from 'node:stream';
import type { ImageView, PruneView } from '../http-api/schemas/images.ts';
import type { ImportRequest, LoadRequest, PullRequest } from '../images/image-store.ts';
import { type PlaneConnection, part } from './connection.ts';

export const imageCalls = (plane: PlaneConnection) => ({
  list: () => plane.list<ImageView>('/v1/images'),
  import: (image: ImportRequest) => plane.postLong<ImageView>('/v1/images', image),
  /**
   * @param tar an OCI image layout or an archive of `docker save`
   * @param totalBytes how long it is, where that is known
   */
  load(tar: Readable, { name, tag }: LoadRequest = {}, totalBytes?: number): Promise<ImageView> {
    const upload = { kind: 'load', subject: name ?? 'image', totalBytes };
    return plane.upload({ path: '/v1/images/load', query: { name, tag }, body: tar, upload });
  },
  pull: (image: PullRequest) => plane.postLong<ImageView>('/v1/images/pull', image),
  prune: (request: { all: boolean }) => plane.post<PruneView>('/v1/images/prune', request),
  inspect: (name: string) => plane.get<ImageView>(`/v1/images/${part(name)}`),
  remove: (name: string) => plane.remove(`/v1/images/${part(name)}`),
});
