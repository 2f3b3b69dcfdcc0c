/** The agent's parts, put together from what main.ts gives them. */
import type { Duplex, Readable } from 'node:stream';
import type { Health, MemoryComparison } from '../interconnect/agent-api.ts';
import { type Checkpoints, createCheckpoints } from './checkpoint.ts';
import { type Containers, createContainers } from './containers.ts';
import { createEventLog, type EventLog } from './events.ts';
import { createHealth } from './health.ts';
import { createMemoryComparison } from './memory-comparison.ts';
import { createNetworks } from './network.ts';
import { type AgentPaths, crunRoot } from './paths.ts';
import { createRestores, type Restores } from './restore.ts';
import { createRootfs } from './rootfs.ts';
import type { RunProgram } from './run-program.ts';
import { createCrun } from './runtime/crun.ts';

export interface AgentDeps {
  paths: AgentPaths;
  run: RunProgram;
  dialPlane: (port: number) => Promise<Duplex>;
  nowMs: () => number;
  createTimeoutMs: number;
  /** Default: Debian's. */
  conmonProgram?: string;
}

export interface Agent {
  containers: Containers;
  checkpoints: Checkpoints;
  restores: Restores;
  events: EventLog;
  health(): Promise<Health>;
  compareMemory(id: string, index: Readable): Promise<MemoryComparison>;
}

export async function createAgent(deps: AgentDeps): Promise<Agent> {
  const { paths, run, nowMs } = deps;
  const events = createEventLog(() => Date.now());
  const crun = createCrun({ run, root: crunRoot(paths) });
  const containers = createContainers({
    paths,
    crun,
    events,
    networks: createNetworks(run),
    rootfs: createRootfs({ run, paths }),
    createTimeoutMs: deps.createTimeoutMs,
    ...(deps.conmonProgram ? { conmonProgram: deps.conmonProgram } : {}),
  });
  await containers.watchExits();
  return {
    containers,
    checkpoints: createCheckpoints({ containers, crun, run, events, dialPlane: deps.dialPlane, nowMs }),
    restores: createRestores({ containers, paths, run, events, nowMs }),
    events,
    health: createHealth({ run, paths }),
    compareMemory: createMemoryComparison({ containers, crun, run, paths }),
  };
}
