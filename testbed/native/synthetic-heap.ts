/** The synthetic workload: a heap of set size, and a request that touches a set number of scattered pages. */
import { execa } from 'execa';
import { OffloadError } from '../../platform/errors.ts';
import { SCATTERED_HEAP } from './programs.ts';
import type { NativeWorkload } from './workload.ts';

export interface SyntheticHeapOptions {
  heapMiB: number;
  touchedPageCount: number;
  /** Which pages the request touches. */
  seed: number;
  /** `touched`: the heap holds nothing but the pages that the request touches. */
  fill: 'whole' | 'touched';
}

export async function syntheticHeap(options: SyntheticHeapOptions): Promise<NativeWorkload> {
  const { heapMiB, touchedPageCount, seed, fill } = options;
  const numbers = [heapMiB, touchedPageCount, seed].map(String);
  const { stdout: expected } = await execa(SCATTERED_HEAP, ['--expect', ...numbers], { timeout: 60_000 });
  return {
    name: `heap-${heapMiB}-${touchedPageCount}${fill === 'touched' ? '-floor' : ''}`,
    programs: [SCATTERED_HEAP],
    command: `/run/test/bin/scattered-heap /run/test/heap.sock ${numbers.join(' ')} ${fill}`,
    address: (directory) => `unix:${directory}/heap.sock`,
    request: Buffer.from(`touch ${seed}\n`),
    verify(answer) {
      const digest = answer.toString().trim();
      if (digest === expected) return;
      throw new OffloadError('digest_mismatch', `synthetic heap: answered ${digest}, expected ${expected}`);
    },
  };
}
