/** The real programs that are restored beside the synthetic heap. */
import { nodeServer } from '../../testbed/native/node-server.ts';
import { postgres } from '../../testbed/native/postgres.ts';
import { pythonServer } from '../../testbed/native/python-server.ts';
import { redisServer } from '../../testbed/native/redis-server.ts';
import type { NativeWorkload } from '../../testbed/native/workload.ts';

/** By name, each made for so many MiB of data. */
export const REAL_PROGRAMS: Readonly<Record<string, (dataMiB: number) => Promise<NativeWorkload>>> = {
  redis: redisServer,
  node: nodeServer,
  python: pythonServer,
  postgres,
};
