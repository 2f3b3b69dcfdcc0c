/** The real programs that are restored beside the synthetic heap. */
import { nodeServer } from '../../testbed/native/node-server.ts';
import type { NativeWorkload } from '../../testbed/native/workload.ts';

export async function realPrograms(dataMiB: number): Promise<NativeWorkload[]> {
  return [await nodeServer(dataMiB)];
}
