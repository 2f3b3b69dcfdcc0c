/** A checkpoint in a store with images that CRIU 4.2.1 wrote of a Redis server, and pages where it has mappings. */
import { readdirSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type {
  CheckpointManifest,
  CheckpointReader,
  PageStore,
} from '../../offload-plane/page-store/contract.ts';
import { RECIPE } from './plane-parts.ts';

const golden = new URL('../offload-plane/checkpoints/contents/golden/', import.meta.url);

/** Fresh copies, by name. */
export function goldenImages(): Map<string, Buffer> {
  return new Map(readdirSync(golden).map((name) => [name, readFileSync(new URL(name, golden))]));
}

export const PAGE = 4096;
const REDIS = { kind: 'task', id: 1 } as const;
/** An anonymous mapping of the server, of 2,304 pages. */
export const ANONYMOUS = 0x7f9e_b46f_b000n;
/** The page on its stack that holds its arguments, and where on it they are. */
const ARGUMENTS_PAGE = 0x7ffd_6622_7000n;
const ARGUMENTS_AT = 0xf69;
const ARGUMENTS = '/usr/bin/redis-server *:6379';

export interface Written {
  images?: ReadonlyMap<string, Buffer>;
  /** Of the anonymous mapping: so many, filled with `fill` and their number; the last is zero. */
  pageCount?: number;
  fill?: string;
  tenant?: string;
  rootfsDiff?: Buffer;
}

export async function writeCriuCheckpoint(
  store: PageStore,
  id: string,
  { images = goldenImages(), pageCount = 8, fill = 'p', tenant = 'default', rootfsDiff }: Written = {},
): Promise<CheckpointManifest> {
  const writer = await store.begin(id, { tenant });
  for (const [name, image] of images) await writer.addImage(name, image);
  await writer.addPages(REDIS, ANONYMOUS, true, anonymousPages(pageCount, fill));
  const argumentsPage = Buffer.alloc(PAGE);
  argumentsPage.write(ARGUMENTS, ARGUMENTS_AT);
  await writer.addPages(REDIS, ARGUMENTS_PAGE, true, argumentsPage);
  if (rootfsDiff !== undefined) await writer.addRootfsDiff(Readable.from([rootfsDiff]));
  return await writer.commit({ recipe: RECIPE, guest: 'origin' });
}

/** Each filled with `fill` and its number; the last is zero. */
function anonymousPages(pageCount: number, fill = 'p'): Buffer {
  const bytes = Buffer.alloc(pageCount * PAGE, fill);
  for (let page = 0; page < pageCount; page += 1) bytes.writeUInt32LE(page + 1, page * PAGE);
  return bytes.fill(0, (pageCount - 1) * PAGE);
}

/** The same checkpoint with other images, which the store would have to be written anew for, and answers of one's own. */
export function withImages(
  reader: CheckpointReader,
  images: ReadonlyMap<string, Buffer>,
  own: Partial<CheckpointReader> = {},
): CheckpointReader {
  const files = Object.fromEntries(
    [...images].map(([name, { length }]) => [`images/${name}`, { bytes: length }]),
  );
  const replaced = {
    manifest: { ...reader.manifest, files },
    readImage: async (name: string) => images.get(name)!,
    ...own,
  };
  return new Proxy(reader, {
    get(target, key) {
      if (key in replaced) return replaced[key as keyof typeof replaced];
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
