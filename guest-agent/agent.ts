/** The agent's parts, put together from what main.ts gives them. */
import type { Duplex, Readable } from 'node:stream';
import type { Health, MemoryComparison } from '../interconnect/agent-api.ts';
import { adoptContainers } from './adoption.ts';
import { createBundles } from './bundle.ts';
import { type Checkpoints, createCheckpoints, type Later } from './checkpoint.ts';
import { type Containers, createContainers } from './containers.ts';
import { createEventLog, type EventLog } from './events.ts';
import { watchExits } from './exits.ts';
import type { GuestParts } from './guest-parts.ts';
import { createHealth } from './health.ts';
import { readInstanceId } from './instance-id.ts';
import { createMemoryComparison } from './memory-comparison.ts';
import { type AgentPaths, crunRoot, eventLogFile, exitDirectory } from './paths.ts';
import { createRecords } from './records.ts';
import { createRestores, type Restores } from './restore.ts';
import type { RunProgram } from './run-program.ts';
import type { ConnectAttach } from './runtime/attach-socket.ts';
import { createCrun } from './runtime/crun.ts';
import { createStdio, type Stdio } from './stdio/stdio.ts';

export interface AgentDeps {
  paths: AgentPaths;
  run: RunProgram;
  dialPlane: (port: number) => Promise<Duplex>;
  connectAttach: ConnectAttach;
  nowMs: () => number;
  later: Later;
  /** A name that nothing else has. */
  freshId: () => string;
  createTimeoutMs: number;
  parts: GuestParts;
  /** Default: Debian's. */
  conmonProgram?: string;
}

export interface Agent {
  containers: Containers;
  checkpoints: Checkpoints;
  restores: Restores;
  stdio: Stdio;
  events: EventLog;
  health(): Promise<Health>;
  compareMemory(id: string, index: Readable): Promise<MemoryComparison>;
  /** Ids of what an earlier agent has left: containers that go on, and those that were not finished. */
  readonly adoption: { adopted: string[]; undone: string[] };
  /** Sees no more exits; what runs is left as it is. */
  close(): void;
}

export async function createAgent(deps: AgentDeps): Promise<Agent> {
  const { paths, run, nowMs, later, parts } = deps;
  const instanceId = await readInstanceId(paths.runDirectory, deps.freshId);
  const events = createEventLog(eventLogFile(paths), () => Date.now());
  const crun = createCrun({ run, root: crunRoot(paths) });
  const records = createRecords(paths.runDirectory);
  const containers = createContainers({
    paths,
    crun,
    bundles: createBundles({ paths, crun, ...parts }),
    events,
    records,
    createTimeoutMs: deps.createTimeoutMs,
    ...(deps.conmonProgram ? { conmonProgram: deps.conmonProgram } : {}),
  });
  const adoption = await adoptContainers({ paths, containers, crun, events, records, ...parts });
  const stopWatching = await watchExits(exitDirectory(paths), (id) => void containers.lookForExit(id));
  // Those that ended while nobody watched.
  await Promise.all(adoption.adopted.map((id) => containers.lookForExit(id)));
  return {
    containers,
    checkpoints: createCheckpoints({
      containers,
      crun,
      run,
      events,
      dialPlane: deps.dialPlane,
      nowMs,
      later,
    }),
    restores: createRestores({ containers, paths, run, nowMs }),
    stdio: await createStdio({ ...deps, containers, events, randomId: shortId(deps.freshId) }),
    events,
    health: createHealth({ run, paths, instanceId, startId: deps.freshId() }),
    compareMemory: createMemoryComparison({ containers, crun, run, paths }),
    adoption,
    close: stopWatching,
  };
}

/** 12 hex digits, of what is random in a UUID. */
const shortId = (freshId: () => string) => () => freshId().slice(-12);
