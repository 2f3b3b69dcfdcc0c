/** /v1/images */
import type { ChangeControl } from '../images/image-store.ts';
import { describeProgress } from '../images/import-progress.ts';
import { OperationView } from '../operations/operation.ts';
import type { OperationContext } from '../operations/operations.ts';
import type { Plane } from '../plane.ts';
import { answerLongCall } from './long-calls.ts';
import { Page, PageQuery, pageOf } from './pages.ts';
import { bodyOf, Nothing } from './schemas/common.ts';
import {
  ImageBody,
  ImageParams,
  ImageView,
  LoadQuery,
  PruneImagesBody,
  PruneView,
  PullBody,
} from './schemas/images.ts';
import type { App } from './server.ts';
import { receivedOf, TAR_TYPE, tarBody } from './tar-body.ts';

/** An operation follows and ends a change of the images; it is told of no more than whole MiB. */
function controlOf({ signal, progress }: OperationContext): ChangeControl {
  let last: string | undefined;
  return {
    signal,
    onProgress(step) {
      const { text, fraction } = describeProgress(step);
      if (text !== last) progress(text, fraction);
      last = text;
    },
  };
}

const imported = { 201: ImageView, 202: OperationView };

export function imageRoutes(app: App, { images, operations }: Plane): void {
  const params = ImageParams;
  app.get(
    '/v1/images',
    { schema: { summary: 'List images', querystring: PageQuery, response: { 200: Page(ImageView) } } },
    ({ query }) => pageOf({ kind: 'images', items: images.list(), keyOf: ({ digest }) => digest }, query),
  );
  app.post(
    '/v1/images',
    {
      schema: {
        summary: 'Import an OCI image layout or an archive of docker save, by its path on the plane',
        body: ImageBody,
        response: imported,
      },
    },
    (request, reply) =>
      answerLongCall(
        operations,
        { request, reply },
        { kind: 'import', subject: request.body.path },
        (context) => images.import(request.body, controlOf(context)),
      ),
  );
  app.post(
    '/v1/images/load',
    {
      schema: {
        summary: 'Import the tar that is the body: an OCI image layout or an archive of docker save',
        body: bodyOf(TAR_TYPE, 'An OCI image layout or an archive of docker save'),
        querystring: LoadQuery,
        response: imported,
      },
    },
    async (request, reply) => {
      const tar = tarBody(request);
      return await answerLongCall(
        operations,
        { request, reply, received: receivedOf(tar) },
        { kind: 'load', subject: request.query.name ?? 'a tar' },
        (context) => images.load(tar, request.query, controlOf(context)),
      );
    },
  );
  app.post(
    '/v1/images/pull',
    {
      schema: {
        summary: 'Fetch an image from a registry that speaks the OCI distribution protocol',
        body: PullBody,
        response: imported,
      },
    },
    (request, reply) =>
      answerLongCall(
        operations,
        { request, reply },
        { kind: 'pull', subject: request.body.reference },
        (context) => images.pull(request.body, controlOf(context)),
      ),
  );
  app.post(
    '/v1/images/prune',
    {
      schema: {
        summary: 'Remove images that no container and no checkpoint needs',
        body: PruneImagesBody,
        response: { 200: PruneView },
      },
    },
    (request) => images.prune(request.body),
  );
  app.get(
    '/v1/images/:image',
    { schema: { summary: 'Inspect an image', params, response: { 200: ImageView } } },
    (request) => images.get(request.params.image),
  );
  app.delete(
    '/v1/images/:image',
    { schema: { summary: 'Remove an image, or one of its names', params, response: { 204: Nothing } } },
    async (request, reply) => {
      await images.remove(request.params.image);
      return reply.code(204).send();
    },
  );
}
