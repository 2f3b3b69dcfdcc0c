/** Disks of one QEMU over QMP: on its virtio-scsi controller scsi0, each named by its LUN. */
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { OffloadError } from '../../platform/errors.ts';
import type { QmpClient } from '../../platform/qmp.ts';
import type { DiskFile } from './disk-table.ts';

const UNPLUG_TIMEOUT_MS = 15_000;
const nameOf = (lun: number) => `disk${lun}`;

/** Of `query-block`'s answer, what says which file is behind which disk. */
const BlockDevices = Type.Array(
  Type.Object({
    qdev: Type.Optional(Type.String()),
    inserted: Type.Optional(
      Type.Object({ 'node-name': Type.Optional(Type.String()), file: Type.String(), ro: Type.Boolean() }),
    ),
  }),
);

/**
 * What the guest has been told is on disk is on disk: its flushes reach the file (QEMU's default), and
 * nobody else has the file open for writing (QEMU locks it). Where the device is full the guest gets an error
 * to deal with; QEMU's own answer would be to stop it.
 */
export async function plugDisk(qmp: QmpClient, { path, readOnly }: DiskFile, lun: number): Promise<void> {
  const name = nameOf(lun);
  await qmp.execute('blockdev-add', {
    'node-name': name,
    driver: 'raw',
    'read-only': readOnly,
    discard: 'unmap',
    file: { driver: 'file', filename: path, 'read-only': readOnly, locking: 'on' },
  });
  try {
    await qmp.execute('device_add', {
      driver: 'scsi-hd',
      bus: 'scsi0.0',
      id: name,
      drive: name,
      lun,
      werror: 'report',
      rerror: 'report',
    });
  } catch (error) {
    await qmp.execute('blockdev-del', { 'node-name': name });
    if (!/ lock\b/.test((error as Error).message)) throw error;
    throw new OffloadError('invalid_state', `attach ${path}: another machine has it open`, { cause: error });
  }
}

/** The file is closed when this returns. The guest has no say in it: what it did not write back is lost. */
export async function unplugDisk(qmp: QmpClient, lun: number): Promise<void> {
  const name = nameOf(lun);
  const gone = qmp.waitForEvent(
    ({ event, data }) => event === 'DEVICE_DELETED' && data.device === name,
    UNPLUG_TIMEOUT_MS,
    `the end of ${name}`,
  );
  gone.catch(() => undefined);
  await qmp.execute('device_del', { id: name });
  await gone;
  await qmp.execute('blockdev-del', { 'node-name': name });
}

/** The disks that an earlier plane attached. */
export async function pluggedDisks(qmp: QmpClient): Promise<(DiskFile & { lun: number })[]> {
  const answer = await qmp.execute('query-block');
  if (!Value.Check(BlockDevices, answer)) {
    throw new OffloadError('guest_lost', 'QMP query-block: an answer outside the schema');
  }
  return answer.flatMap(({ qdev, inserted }) => {
    const lun = /^disk(\d{1,3})$/.exec(qdev ?? '')?.[1];
    if (lun === undefined || !inserted) return [];
    return [{ path: inserted.file, readOnly: inserted.ro, lun: Number(lun) }];
  });
}
