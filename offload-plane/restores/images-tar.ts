/** What the agent needs on disk before a restore, as one tar: metadata images, pagemaps of the policy, rootfs changes. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import type { PageSession } from '../page-server/contract.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import { type NewIdentity, withNewIdentity } from './new-identity.ts';

/** @param identity of a clone; without one the container is who it was */
export function imagesTar(reader: CheckpointReader, session: PageSession, identity?: NewIdentity): Readable {
  const pack = tar.pack();
  void fill(pack, { reader, session, identity }).catch((error: Error) => pack.destroy(error));
  return Readable.from(pack);
}

interface Sources {
  reader: CheckpointReader;
  session: PageSession;
  identity: NewIdentity | undefined;
}

async function fill(pack: tar.Pack, { reader, session, identity }: Sources): Promise<void> {
  // One after the other, as fast as they are taken: all of them together can be a gibibyte.
  const add = (name: string, bytes: Buffer) => pipeline([bytes], pack.entry({ name, size: bytes.length }));
  for (const name of reader.imageFiles()) {
    const image = await reader.readImage(name);
    const own = identity === undefined ? image : withNewIdentity(name, image, identity);
    await add(`images/${name}`, own);
  }
  for (const { name, bytes } of await session.pagemapImages()) await add(`images/${name}`, bytes);
  const diff = reader.openRootfsDiff();
  const size = reader.manifest.files['rootfs-diff.tar']?.bytes;
  if (diff && size !== undefined) await pipeline(diff, pack.entry({ name: 'rootfs-diff.tar', size }));
  pack.finalize();
}
