/** An image store with one image, `redis`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const IMAGE = `sha256:${'1'.repeat(64)}`;

/** An image as an import would have left it; its root filesystem is never mounted here. */
export function placeImage(directory: string): void {
  const own = join(directory, IMAGE.slice('sha256:'.length));
  mkdirSync(own, { recursive: true });
  const rootfs = Buffer.alloc(4_096);
  const config = {
    ...{ command: ['redis-server'], env: ['PATH=/bin'], workingDir: '/', user: '0:0' },
    exposedPorts: [6379],
  };
  const createdAt = '2026-01-01T00:00:00.000Z';
  const record = { formatVersion: 1, digest: IMAGE, createdAt, rootfsBytes: rootfs.length, config };
  writeFileSync(join(own, 'rootfs.erofs'), rootfs);
  writeFileSync(join(own, 'record.json'), JSON.stringify(record));
  writeFileSync(join(directory, 'names.json'), JSON.stringify({ formatVersion: 1, names: { redis: IMAGE } }));
}
