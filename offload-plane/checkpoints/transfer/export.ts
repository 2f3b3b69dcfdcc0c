/** Writes a checkpoint as a tar, one piece of it at a time. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import type { ContainerRecipe } from '../../containers/container.ts';
import type { CheckpointReader } from '../../page-store/contract.ts';
import { TRANSFER_VERSION, type TransferManifest, TransferName } from './contract.ts';
import { pageFilesOf, pagesOf } from './page-files.ts';
import { configDump, networkStatus, specDump } from './podman-files.ts';

export interface ExportSource {
  reader: CheckpointReader;
  recipe: ContainerRecipe;
  /** Where it was taken. */
  guest: string;
}

/** The stream fails where the checkpoint does (corrupt_page, digest_mismatch): what came before is no checkpoint. */
export function exportTar(source: ExportSource): Readable {
  const pack = tar.pack();
  void fill(pack, source).catch((error: Error) => pack.destroy(error));
  return Readable.from(pack);
}

async function fill(pack: tar.Pack, { reader, recipe, guest }: ExportSource): Promise<void> {
  const { manifest } = reader;
  const add = (name: string, bytes: Buffer) =>
    pipeline([bytes], pack.entry({ name, size: bytes.length, mode: 0o600 }));
  const addJson = (name: string, value: object) => add(name, Buffer.from(JSON.stringify(value, null, 2)));
  const image = (name: string) => `${TransferName.images}/${name}`;

  await addJson(TransferName.manifest, transferManifest({ reader, recipe, guest }));
  await addJson(TransferName.config, configDump(manifest, recipe));
  await addJson(TransferName.spec, specDump(manifest, recipe));
  await addJson(TransferName.network, networkStatus(recipe));
  const order = await reader.readOrderLog();
  if (order !== undefined) await add(TransferName.order, order);
  pack.entry({ name: `${TransferName.images}/`, type: 'directory', mode: 0o700 });
  for (const name of reader.imageFiles()) await add(image(name), await reader.readImage(name));
  for (const files of pageFilesOf(reader)) {
    await add(image(files.pagemapName), files.pagemap);
    const entry = pack.entry({ name: image(files.pagesName), size: files.pagesBytes, mode: 0o600 });
    await pipeline(pagesOf(reader, files), entry);
  }
  const diff = reader.openRootfsDiff();
  const size = manifest.files[TransferName.rootfsDiff]?.bytes;
  if (diff && size !== undefined) {
    await pipeline(diff, pack.entry({ name: TransferName.rootfsDiff, size, mode: 0o600 }));
  }
  pack.finalize();
}

function transferManifest({ reader, recipe, guest }: ExportSource): TransferManifest {
  const { id, createdAt, pageCount, digest, files } = reader.manifest;
  const carried = Object.entries(files).filter(
    ([name]) => name.startsWith('images/') || name === TransferName.rootfsDiff,
  );
  return {
    version: TRANSFER_VERSION,
    id,
    createdAt,
    guest,
    recipe,
    memoryDigest: reader.memoryDigest().toString(16).padStart(16, '0'),
    pageCount,
    files: Object.fromEntries(
      carried.map(([name, { sha256 = '' }]) => [name.replace(/^images\//, ''), sha256]),
    ),
    digest,
  };
}
