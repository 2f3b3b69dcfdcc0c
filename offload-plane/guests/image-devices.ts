/**
 * Images as read-only SCSI disks of a guest, attached and detached over QMP. The guest finds a disk by its
 * LUN on the one virtio-scsi controller (id scsi0) that the testbed gives each guest.
 */

import { OffloadError } from '../../platform/errors.ts';
import { QmpClient } from '../../platform/qmp.ts';

/** LUN 0 stays free; virtio-scsi would take 16384, this is a bound of ours. */
const FIRST_LUN = 1;
const LAST_LUN = 255;
const QMP_TIMEOUT_MS = 15_000;

export interface ImageDevices {
  /** Attaches the image unless it is attached already; gives its LUN. */
  attach(digest: string, path: string): Promise<number>;
  /** Resolves when QEMU hangs up. */
  readonly lost: Promise<void>;
  close(): Promise<void>;
}

export async function createImageDevices(guest: string, qmpPath: string): Promise<ImageDevices> {
  const qmp = await QmpClient.connect({ socketPath: qmpPath, timeoutMs: QMP_TIMEOUT_MS });
  const lost = new Promise<void>((resolve) => qmp.once('close', () => resolve()));
  const attached = new Map<string, Promise<number>>();
  const freeLuns = Array.from({ length: LAST_LUN }, (_, i) => FIRST_LUN + i);

  async function attachNew(path: string, lun: number): Promise<number> {
    const node = `image${lun}`;
    await qmp.execute('blockdev-add', {
      'node-name': node,
      driver: 'raw',
      'read-only': true,
      file: { driver: 'file', filename: path, 'read-only': true },
    });
    try {
      await qmp.execute('device_add', {
        driver: 'scsi-hd',
        bus: 'scsi0.0',
        id: `disk-${node}`,
        drive: node,
        lun,
      });
    } catch (error) {
      await qmp.execute('blockdev-del', { 'node-name': node });
      throw error;
    }
    return lun;
  }

  return {
    async attach(digest, path) {
      const present = attached.get(digest);
      if (present) return present;
      const lun = freeLuns.shift();
      if (lun === undefined) {
        throw new OffloadError(
          'invalid_state',
          `attach image ${digest}: guest ${guest} has its ${LAST_LUN} images already`,
        );
      }
      const attaching = attachNew(path, lun);
      attached.set(digest, attaching);
      attaching.catch(() => {
        attached.delete(digest);
        freeLuns.push(lun);
      });
      return attaching;
    },
    lost,
    close: async () => qmp.close(),
  };
}
