/** Bounds of a checkpoint, and what they default to. */
import { GIB, MIB } from '../../platform/units.ts';
import type { StoreLimits } from './contract.ts';

export const PAGE_BYTES = 4096;
/** The largest `addPages` call. */
export const MAX_APPEND_BYTES = MIB;
/** The end of what a user space address can be (56 bits: five-level page tables). */
export const MAX_ADDRESS = 1n << 56n;
/** Task ids are pids, shared memory ids inode numbers or System V ids (from 0); all stay exact in a double. */
export const MAX_TASK_ID = 2 ** 31 - 1;
export const MAX_SHMEM_ID = Number.MAX_SAFE_INTEGER;
/** The largest n of a `shared-n`; each one used is a descriptor while the checkpoint is open. */
export const MAX_SHARED_FILE = 255;
export const MAX_SHARED_FILES_USED = 16;

export const DEFAULT_LIMITS: StoreLimits = {
  maxImageBytes: 256 * MIB,
  maxImagesTotalBytes: GIB,
  maxImageCount: 8192,
  maxRootfsDiffBytes: 16 * GIB,
  maxSegmentCount: 1 << 20,
  maxTargetCount: 1 << 16,
  sourceIdleMs: 60_000,
};

/** Checkpoints that a plane keeps open for the next restore of them. */
export const KEEP_OPEN_COUNT = 8;
