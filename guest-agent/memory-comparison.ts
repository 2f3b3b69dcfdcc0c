/** Compares a container's memory with page digests, while it stands still (offload-memcheck does the reading). */
import { createWriteStream } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { MemoryComparison } from '../interconnect/agent-api.ts';
import { cgroupPids } from './cgroup-tasks.ts';
import type { Containers } from './containers.ts';
import type { AgentPaths } from './paths.ts';
import type { RunProgram } from './run-program.ts';
import type { Crun } from './runtime/crun.ts';

const COMPARE_TIMEOUT_MS = 120_000;

export function createMemoryComparison(deps: {
  containers: Containers;
  crun: Crun;
  run: RunProgram;
  paths: AgentPaths;
}) {
  const { containers, crun, run, paths } = deps;
  return async (id: string, index: Readable): Promise<MemoryComparison> => {
    const container = containers.get(id);
    containers.expectPhase(container, 'compare memory of', 'running', 'paused');
    const own = containers.paths(id);
    const indexFile = join(own.data, 'memory-index');
    const wasRunning = container.life.phase === 'running';
    await pipeline(index, createWriteStream(indexFile));
    try {
      if (wasRunning) await crun.pause(id);
      const pids = await taskPids(own.cgroup);
      const map = pids.map(({ task, pid }) => `${task}:${pid}`).join(',');
      const output = await run(
        join(paths.programDirectory, 'offload-memcheck'),
        ['--index', indexFile, '--pid-map', map],
        { timeoutMs: COMPARE_TIMEOUT_MS },
      );
      return JSON.parse(output) as MemoryComparison;
    } finally {
      if (wasRunning) await crun.resume(id);
      await rm(indexFile, { force: true });
    }
  };
}

/** CRIU names a task by its pid inside the container: the last number of NSpid (proc_pid_status(5)). */
async function taskPids(cgroup: string): Promise<{ task: number; pid: number }[]> {
  const pids = await cgroupPids(cgroup);
  return Promise.all(
    pids.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      const inner = /^NSpid:.*\s(\d+)$/m.exec(status)?.[1];
      return { task: Number(inner ?? pid), pid };
    }),
  );
}
