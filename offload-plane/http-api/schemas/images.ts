/** /v1/images */
import { type Static, Type } from 'typebox';
import { ImageRunConfig } from '../../images/image-record.ts';
import { Path, strict, Timestamp } from './common.ts';

const ImageName = Type.String({ maxLength: 256 });
const Tag = Type.String({ maxLength: 256, description: 'which image, of a layout that holds several' });

export const ImageParams = Type.Object({ image: ImageName }, strict);
export const ImageBody = Type.Object(
  { path: Path, name: Type.Optional(ImageName), tag: Type.Optional(Tag) },
  strict,
);

export const LoadQuery = Type.Object({ name: Type.Optional(ImageName), tag: Type.Optional(Tag) }, strict);

export const PullBody = Type.Object(
  {
    reference: Type.String({
      maxLength: 512,
      description: '[registry/]repository[:tag][@sha256:digest]; without tag and digest it is latest',
    }),
    tlsVerify: Type.Optional(
      Type.Boolean({ description: 'false: plain HTTP and unknown certificates are fine; default true' }),
    ),
    authFile: Type.Optional(Path),
    platform: Type.Optional(
      Type.Literal('linux/amd64', { description: 'what guests run; of an index that image is taken' }),
    ),
  },
  strict,
);

export const PruneImagesBody = Type.Object(
  { all: Type.Boolean({ default: false, description: 'those with a tag, too' }) },
  strict,
);

export const PruneView = Type.Object(
  { removed: Type.Array(Type.String()), freedBytes: Type.Integer() },
  strict,
);
export type PruneView = Static<typeof PruneView>;

export const ImageView = Type.Object(
  {
    name: Type.String({ description: 'the first of its names, or of its repoDigests, or its digest' }),
    names: Type.Array(Type.String()),
    repoDigests: Type.Array(Type.String({ description: 'repository@digest, where it was pulled from' })),
    digest: Type.String(),
    createdAt: Timestamp,
    rootfsPath: Type.String(),
    rootfsBytes: Type.Integer(),
    config: ImageRunConfig,
  },
  strict,
);
export type ImageView = Static<typeof ImageView>;
