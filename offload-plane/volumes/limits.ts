/** Bounds on what volumes may ask of the plane's device. */
export interface VolumeLimits {
  /** ext4 with a journal wants some room for itself. */
  sizeBytesMin: number;
  sizeBytesMax: number;
  volumeCountMax: number;
  /** Making one file system, in milliseconds. */
  createTimeoutMs: number;
}

const MIB = 1024 * 1024;
const TIB = 1024 * 1024 * MIB;

export const DEFAULT_VOLUME_LIMITS: Readonly<VolumeLimits> = {
  sizeBytesMin: 16 * MIB,
  sizeBytesMax: 16 * TIB,
  volumeCountMax: 1_000,
  createTimeoutMs: 120_000,
};

/** Of a volume for which no size is named. */
export const DEFAULT_VOLUME_BYTES = 1024 * MIB;
/** What a volume's size is a multiple of: a block of its file system. */
export const VOLUME_BLOCK_BYTES = 4096;
