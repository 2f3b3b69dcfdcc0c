/** What the agent needs on disk before a restore, as one tar: metadata images, pagemaps of the policy, rootfs changes. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import type { PageSession } from '../page-server/contract.ts';
import type { CheckpointReader } from '../page-store/contract.ts';

export function imagesTar(reader: CheckpointReader, session: PageSession): Readable {
  const pack = tar.pack();
  void fill(pack, reader, session).catch((error: Error) => pack.destroy(error));
  return Readable.from(pack);
}

async function fill(pack: tar.Pack, reader: CheckpointReader, session: PageSession): Promise<void> {
  for (const name of reader.imageFiles())
    pack.entry({ name: `images/${name}` }, await reader.readImage(name));
  for (const { name, bytes } of await session.pagemapImages()) pack.entry({ name: `images/${name}` }, bytes);
  const diff = reader.openRootfsDiff();
  const size = reader.manifest.files['rootfs-diff.tar']?.bytes;
  if (diff && size !== undefined) await pipeline(diff, pack.entry({ name: 'rootfs-diff.tar', size }));
  pack.finalize();
}
