/**
 * Execs: programs started in running containers. Each has a conmon and a directory of its own below its
 * container's, so that it outlives the agent, whose successor finds it there.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { ExecSpec, ExecState, TerminalSize } from '../../interconnect/exec-api.ts';
import { STDERR, type StdioEnd } from '../../interconnect/stdio-frames.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Containers } from '../containers.ts';
import { type AgentPaths, containerPaths, crunRoot } from '../paths.ts';
import type { ConnectAttach } from '../runtime/attach-socket.ts';
import { killMonitor } from '../runtime/conmon.ts';
import { execPaths, runConmonExec } from '../runtime/conmon-exec.ts';
import type { OciUser } from '../users.ts';
import type { OutputChunk } from './backlog.ts';
import { type ExecRecord, endOf, pidOf, readExit } from './exec-files.ts';
import { execProcess, type OciProcess } from './exec-process.ts';
import { createHub, type Hub, type HubOptions } from './hub.ts';
import { readLogTail } from './log-tail.ts';
import { NOBODY } from './nobody.ts';
import { resize } from './terminal-control.ts';

export interface ExecsDeps {
  paths: AgentPaths;
  containers: Containers;
  connectAttach: ConnectAttach;
  userOf: (container: string, user: string) => Promise<OciUser>;
  randomId: () => string;
  createTimeoutMs: number;
  conmonProgram?: string | undefined;
  /** How many ended ones of all containers are known; default: 512. */
  keptEnded?: number;
}

interface Exec extends ExecRecord {
  readonly id: string;
  readonly container: string;
  readonly pid?: number | undefined;
  /** Until its output has ended. */
  hub?: Hub | undefined;
  end?: StdioEnd;
  /** What it wrote last, once the hub is gone: a hub for each would be most of an agent's memory. */
  past?: OutputChunk[];
}

const MAX_RUNNING = 64;
/** Of one container; the exit codes of earlier ones are forgotten. */
const MAX_ENDED = 32;
const KEPT_ENDED = 512;
/** How long output waits for the first who attaches. */
const HOLD_MS = 30_000;
/** How long a checkpoint waits for execs to end. */
const QUIET_TIMEOUT_MS = 5_000;

export function createExecs(deps: ExecsDeps) {
  const { containers, keptEnded = KEPT_ENDED } = deps;
  const execs = new Map<string, Exec>();
  const ofContainer = (id: string) => [...execs.values()].filter((exec) => exec.container === id);
  const directoryOf = (container: string, id: string) =>
    join(containerPaths(deps.paths, container).execs, id);

  function get(container: string, id: string): Exec {
    const exec = execs.get(id);
    if (exec?.container === container) return exec;
    throw new OffloadError('not_found', `exec ${id} of container ${container}: there is none of this id`);
  }

  async function makeRoom(container: string): Promise<void> {
    const own = ofContainer(container);
    if (own.filter((exec) => !exec.end).length >= MAX_RUNNING) {
      throw new OffloadError('no_space', `exec in container ${container}: ${MAX_RUNNING} are running`);
    }
    await forgetSurplus(own, MAX_ENDED);
    await forgetSurplus([...execs.values()], keptEnded);
  }

  /** The oldest first; one is about to come. */
  async function forgetSurplus(among: readonly Exec[], kept: number): Promise<void> {
    const ended = among.filter((exec) => exec.end);
    for (const exec of ended.slice(0, Math.max(0, ended.length - kept + 1))) await forget(exec);
  }

  async function forget(exec: Exec): Promise<void> {
    execs.delete(exec.id);
    exec.hub?.close();
    await rm(directoryOf(exec.container, exec.id), { recursive: true, force: true });
  }

  /** Joins the exec's output; from here on its end is noticed. */
  async function connectHub(exec: Exec, options: Pick<HubOptions, 'holdForFirstMs' | 'past'>): Promise<void> {
    const own = execPaths(directoryOf(exec.container, exec.id), exec.container);
    const hub = createHub({
      subject: `exec ${exec.id}`,
      socket: exec.end ? NOBODY : await deps.connectAttach(own.attachSocket),
      ...options,
      async end() {
        // It may be known already: it was not started after all.
        exec.end = await endOf(async () => exec.end ?? readExit(own.exit));
        return exec.end;
      },
    });
    exec.hub = hub;
    void hub.ended.then(() => {
      exec.past = hub.output();
      exec.hub = undefined;
    });
  }

  /** Of one that has ended it tells whoever attaches what it wrote, and how it ended. */
  function hubOf({ id, hub, past, end }: Exec): Hub {
    if (hub) return hub;
    if (!past || !end) throw new OffloadError('invalid_state', `attach to exec ${id}: it is being started`);
    const [pastOf, endOf] = [async () => past, async () => end];
    return createHub({ subject: `exec ${id}`, socket: NOBODY, past: pastOf, end: endOf });
  }

  async function start(exec: Exec, spec: ExecSpec): Promise<number> {
    const directory = directoryOf(exec.container, exec.id);
    const own = execPaths(directory, exec.container);
    await mkdir(own.exits, { recursive: true });
    const config = containerPaths(deps.paths, exec.container).config;
    const { process } = JSON.parse(await readFile(config, 'utf8')) as { process: OciProcess };
    const user = spec.user === undefined ? process.user : await deps.userOf(exec.container, spec.user);
    await writeFile(own.process, JSON.stringify(execProcess(process, spec, user)));
    const { command, terminal, request } = exec;
    const record: ExecRecord = { command, terminal, ...(request === undefined ? {} : { request }) };
    await writeFile(own.record, JSON.stringify(record));
    return runConmonExec({
      container: exec.container,
      exec: exec.id,
      directory,
      crunRoot: crunRoot(deps.paths),
      terminal: spec.terminal,
      openStdin: spec.openStdin,
      timeoutMs: deps.createTimeoutMs,
      attach: () => connectHub(exec, spec.detached ? {} : { holdForFirstMs: HOLD_MS }),
      program: deps.conmonProgram,
    });
  }

  return {
    /** @param request its id: under it the exec is found again, also by the next agent */
    async create(container: string, spec: ExecSpec, request?: string): Promise<ExecState> {
      const made = ofContainer(container).find((exec) => request !== undefined && exec.request === request);
      if (made) return stateOf(made);
      containers.expectPhase(containers.get(container), 'exec in', 'running');
      await makeRoom(container);
      const { command, terminal } = spec;
      const id = deps.randomId();
      const exec: Exec & { pid?: number } = { id, container, command, terminal, request };
      execs.set(exec.id, exec);
      try {
        exec.pid = await start(exec, spec);
      } catch (error) {
        const exitCode = exitCodeOf(error);
        const { hub, past } = exec;
        if (exitCode === undefined || !(hub ?? past)) {
          await forget(exec);
          throw error;
        }
        const bytes = Buffer.from(`${(error as Error).message}\n`);
        if (hub) hub.say(STDERR, bytes);
        else past?.push({ stream: STDERR, bytes });
        exec.end = { exitCode };
      }
      return stateOf(exec);
    },
    inspect: (container: string, id: string): ExecState => stateOf(get(container, id)),
    attach(container: string, id: string, client: () => Duplex, backlogBytes: number): void {
      hubOf(get(container, id)).attach(client, backlogBytes);
    },
    async resize(container: string, id: string, size: TerminalSize): Promise<void> {
      const exec = get(container, id);
      if (!exec.terminal) {
        throw new OffloadError('invalid_state', `resize exec ${id}: it has no terminal`);
      }
      if (exec.end) return;
      await resize(execPaths(directoryOf(container, id), container).control, size);
    },
    /**
     * An exec is no child of the container's first process: CRIU would leave it out. Those of probes are
     * short, and waited for.
     * @throws {OffloadError} invalid_state when some run on
     */
    async untilNone(container: string, operation: string): Promise<void> {
      const runningCount = () => ofContainer(container).filter((exec) => !exec.end).length;
      const isQuiet = () => (runningCount() === 0 ? true : undefined);
      const what = `${operation} container ${container}: execs end`;
      await pollUntil(isQuiet, { timeoutMs: QUIET_TIMEOUT_MS, intervalMs: 20, what }).catch(() => {
        const count = runningCount();
        if (count === 0) return;
        throw new OffloadError(
          'invalid_state',
          `${operation} container ${container}: programs that exec started run in it (${count})`,
        );
      });
    },
    /** The container is gone, and its directory with it. */
    forgetContainer(container: string): void {
      for (const exec of ofContainer(container)) void forget(exec);
    },
    /** Takes over the execs that an earlier agent has left. */
    async adopt(container: string): Promise<void> {
      const parent = containerPaths(deps.paths, container).execs;
      for (const id of await readdir(parent).catch(() => [])) {
        const own = execPaths(join(parent, id), container);
        try {
          const { command, terminal, request } = JSON.parse(await readFile(own.record, 'utf8')) as ExecRecord;
          const pid = await pidOf(own);
          const exec: Exec = { id, container, command, terminal, request, pid };
          execs.set(id, exec);
          const end = await readExit(own.exit);
          if (end) exec.end = end;
          await connectHub(exec, { past: () => readLogTail(own.log) });
        } catch {
          // It was being started, and did not come to run.
          await killMonitor(own.conmonPidFile);
          execs.delete(id);
          await rm(join(parent, id), { recursive: true, force: true });
        }
      }
    },
  };
}
export type Execs = ReturnType<typeof createExecs>;

function stateOf({ id, command, terminal, pid, end }: Exec): ExecState {
  return {
    id,
    command,
    terminal,
    running: end === undefined,
    ...(pid === undefined ? {} : { pid }),
    ...(end && 'exitCode' in end ? { exitCode: end.exitCode } : {}),
  };
}

/** As shells and Docker have it: 127 for a program that is not there, 126 for one that cannot be run. */
function exitCodeOf(error: unknown): number | undefined {
  if (!(error instanceof OffloadError)) return undefined;
  return { program_not_found: 127, program_not_executable: 126 }[error.code as string];
}
