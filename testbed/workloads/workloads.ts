/** All workloads, by name. */
import { nodeWorkload } from './node-workload.ts';
import { redisWorkload } from './redis-workload.ts';
import type { WarmUpFacts, Workload } from './workload.ts';

export type {
  Endpoint,
  WarmUpFacts,
  Workload,
  WorkloadSize,
} from './workload.ts';

export const WORKLOADS: Readonly<Record<WarmUpFacts['workload'], Workload>> = {
  redis: redisWorkload,
  node: nodeWorkload,
};
