/** Which disks a guest has, at which LUN, and who uses them: the bookkeeping, apart from QEMU. */
import { OffloadError } from '../../platform/errors.ts';

/** LUN 0 stays free; virtio-scsi would take 16384, this is a bound of ours. */
export const FIRST_LUN = 1;
export const LAST_LUN = 255;

export interface DiskFile {
  /** A raw block image on the plane's device. */
  path: string;
  readOnly: boolean;
}

export interface Disk extends DiskFile {
  readonly lun: number;
  /** Who uses it; a container by its id. */
  readonly holders: Set<string>;
}

export interface DiskTable {
  find(path: string): Disk | undefined;
  list(): Disk[];
  /** Takes the LUN that was free for the longest time: a guest may be slow to forget what it had. */
  add(file: DiskFile): Disk;
  /** Records a disk that is there already. */
  adopt(file: DiskFile, lun: number): void;
  remove(disk: Disk): void;
  /** What has to go to make room: the read-only disk that nobody has used for the longest time. */
  dispensable(): Disk | undefined;
  readonly isFull: boolean;
  /** From now on it counts as used just now. */
  touch(disk: Disk): void;
}

export function createDiskTable(guest: string): DiskTable {
  /** In the order of last use. */
  const disks = new Map<string, Disk>();
  let freeLuns = Array.from({ length: LAST_LUN }, (_, index) => FIRST_LUN + index);

  return {
    find: (path) => disks.get(path),
    list: () => [...disks.values()],
    get isFull() {
      return freeLuns.length === 0;
    },
    add(file) {
      const lun = freeLuns.shift();
      if (lun === undefined) {
        throw new OffloadError(
          'invalid_state',
          `attach ${file.path}: guest ${guest} uses its ${LAST_LUN} disks already`,
        );
      }
      const disk: Disk = { ...file, lun, holders: new Set() };
      disks.set(file.path, disk);
      return disk;
    },
    adopt(file, lun) {
      disks.set(file.path, { ...file, lun, holders: new Set() });
      // Those after it come first: it was the last one given out, or near it.
      freeLuns = [...freeLuns.filter((free) => free > lun), ...freeLuns.filter((free) => free < lun)];
    },
    remove(disk) {
      disks.delete(disk.path);
      freeLuns.push(disk.lun);
    },
    dispensable: () => [...disks.values()].find((disk) => disk.readOnly && disk.holders.size === 0),
    touch(disk) {
      disks.delete(disk.path);
      disks.set(disk.path, disk);
    },
  };
}
