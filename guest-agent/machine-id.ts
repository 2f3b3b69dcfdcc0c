/** /etc/machine-id of a container that is a clone (machine-id(5)). */
import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';

/** 32 hex digits and a newline. A file of another size is empty, to be filled at a boot, or something else. */
const FILE_BYTES = 33;

/**
 * Writes the id over the one that is there. Nobody is in the container yet, but whoever was may have left
 * links: neither the file nor its directory is followed if it is one.
 */
export async function replaceMachineId(rootfs: string, machineId: string): Promise<void> {
  const directory = join(rootfs, 'etc');
  const path = join(directory, 'machine-id');
  const found = await lstat(directory).catch(() => undefined);
  const file = found?.isDirectory() ? await lstat(path).catch(() => undefined) : undefined;
  if (!file?.isFile() || file.size !== FILE_BYTES) return;
  const handle = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    await handle.write(`${machineId}\n`, 0);
  } finally {
    await handle.close();
  }
}
