/** What this guest is and runs, asked once at the start; memory each time. */
import { readFile } from 'node:fs/promises';
import { freemem, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { AGENT_API_VERSION, type Health } from '../interconnect/agent-api.ts';
import type { AgentPaths } from './paths.ts';
import type { RunProgram } from './run-program.ts';
import { CONMON } from './runtime/conmon.ts';
import { CRUN } from './runtime/crun.ts';

const AGENT_VERSION = '0.1.0';
const WORK_ROUNDS = 500_000;
const WORK_RUNS = 5;

/** A fixed amount of integer work, the best of a few runs: the first ones pay for the compiler. */
function measureWorkMs(): number {
  const runs = Array.from({ length: WORK_RUNS }, () => {
    const startMs = performance.now();
    let state = 1;
    for (let round = 0; round < WORK_ROUNDS; round += 1)
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    // The result is used, so that the loop is not optimised away.
    return performance.now() - startMs + (state === 0 ? 1 : 0);
  });
  return Math.min(...runs);
}

export interface HealthDeps {
  run: RunProgram;
  paths: AgentPaths;
  instanceId: string;
  startId: string;
}

export function createHealth(deps: HealthDeps) {
  const version = (command: string, args: string[], pattern: RegExp) =>
    deps
      .run(command, args)
      .then((output) => pattern.exec(output)?.[1] ?? output.split('\n')[0] ?? 'unknown')
      .catch(() => 'missing');
  const facts = Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    version(CRUN, ['--version'], /crun version (\S+)/),
    version('criu', ['--version'], /Version: (\S+)/),
    version(CONMON, ['--version'], /conmon version (\S+)/),
    version(join(deps.paths.programDirectory, 'offload-pager'), ['--version'], /(\d\S*)/),
    // CRIU keeps what it finds out about the kernel in /run/criu.kdat: better now than in the first restore.
    deps.run('criu', ['check', '--feature', 'mem_dirty_track']).then(
      () => true,
      () => false,
    ),
  ] as const);
  const workMs = measureWorkMs();
  return async (): Promise<Health> => {
    const [bootId, crun, criu, conmon, pager, tracksChanges] = await facts;
    return {
      apiVersion: AGENT_API_VERSION,
      instanceId: deps.instanceId,
      startId: deps.startId,
      bootId: bootId.trim(),
      agent: AGENT_VERSION,
      node: process.version,
      kernel: release(),
      crun,
      criu,
      conmon,
      pager,
      memoryTotalBytes: totalmem(),
      memoryAvailableBytes: freemem(),
      workMs,
      tracksChanges,
    };
  };
}
