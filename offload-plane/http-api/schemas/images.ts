/** /v1/images */
import { type Static, Type } from 'typebox';
import { ImageRunConfig } from '../../images/image-record.ts';
import { Path, strict, Timestamp } from './common.ts';

const ImageName = Type.String({ maxLength: 256 });
export const ImageParams = Type.Object({ image: ImageName }, strict);
export const ImageBody = Type.Object(
  { path: Path, name: Type.Optional(ImageName), tag: Type.Optional(Type.String({ maxLength: 256 })) },
  strict,
);

export const ImageView = Type.Object(
  {
    name: Type.String({ description: 'the first of its names; its digest when it has none left' }),
    names: Type.Array(Type.String()),
    digest: Type.String(),
    createdAt: Timestamp,
    rootfsPath: Type.String(),
    rootfsBytes: Type.Integer(),
    config: ImageRunConfig,
  },
  strict,
);
export type ImageView = Static<typeof ImageView>;
