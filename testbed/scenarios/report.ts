/** What the demo writes with --json. */
import type { Policy } from '../../offload-plane/page-server/contract.ts';

export interface RestoreReport {
  policy: Policy;
  /** From the restore request to a verified body. */
  ttfrMs: number;
  /** Demand faults that had to ask the plane, all of the restore. */
  faultCount: number;
  pushedPageCount: number;
  /** In place when the first response passed the plane, whoever installed them. */
  pageCountAtResponse: number;
  /** Pages of the checkpoint that are not zero. */
  totalPageCount: number;
  /** From the restore request to the last page. */
  allInMs: number;
  /** The body of the first response was right. */
  verified: boolean;
  /**
   * Every page was put in place once with the checkpoint's digest, and whatever reads differently at the
   * end has been written since (the kernel's soft-dirty bit).
   */
  memoryVerified: boolean;
  /** Pages that the running container has changed since. */
  changedPageCount: number;
}

/**
 * A restore that is paused before its first instruction: nothing can have been written, so what CRIU and
 * the pager put in place is compared byte for byte.
 */
export interface HeldReport {
  policy: Policy;
  pageCount: number;
  equalPageCount: number;
}

export interface ContainerReport {
  name: string;
  image: string;
  checkpoint: { pageCount: number; zeroPageCount: number; bytes: number; frozenMs: number };
  /** The first restore, which recorded the order log. */
  recording: RestoreReport;
  restores: RestoreReport[];
  heldRestores: HeldReport[];
}

export interface DemoReport {
  host: { cpus: number; memoryMiB: number; kernel: string; node: string; qemu: string };
  guests: { accelerator: string; memoryMiB: number; vcpus: number }[];
  containers: ContainerReport[];
}
