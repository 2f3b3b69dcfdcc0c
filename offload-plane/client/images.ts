/** Calls about images. */
import type { Readable } from 'node:stream';
import type { ImageView, PruneView } from '../http-api/schemas/images.ts';
import type { ImportRequest, LoadRequest, PullRequest } from '../images/image-store.ts';
import { type PlaneConnection, part } from './connection.ts';

export const imageCalls = (plane: PlaneConnection) => ({
  list: () => plane.list<ImageView>('/v1/images'),
  import: (image: ImportRequest) => plane.postLong<ImageView>('/v1/images', image),
  /** @param tar an OCI image layout or an archive of `docker save` */
  async load(tar: Readable, request: LoadRequest = {}): Promise<ImageView> {
    const answer = await plane.send({
      method: 'POST',
      path: '/v1/images/load',
      query: { name: request.name, tag: request.tag },
      headers: { 'content-type': 'application/x-tar' },
      body: tar,
    });
    return (await answer.body.json()) as ImageView;
  },
  pull: (image: PullRequest) => plane.postLong<ImageView>('/v1/images/pull', image),
  prune: (request: { all: boolean }) => plane.post<PruneView>('/v1/images/prune', request),
  inspect: (name: string) => plane.get<ImageView>(`/v1/images/${part(name)}`),
  remove: (name: string) => plane.remove(`/v1/images/${part(name)}`),
});
