/**
 * The agent's parts as they run in a guest, over little executables in the place of crun, conmon and the
 * pager, with directories of their own. Networks and mounts are not made: they need a guest.
 */
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  type FSWatcher,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { type Agent, createAgent } from '../../guest-agent/agent.ts';
import type { GuestParts } from '../../guest-agent/guest-parts.ts';
import type { LeftoverProgram } from '../../guest-agent/leftover-programs.ts';
import { type AgentPaths, containerPaths, exitDirectory } from '../../guest-agent/paths.ts';
import { type RunProgram, runProgram } from '../../guest-agent/run-program.ts';
import { tempDirectory } from './temp-directory.ts';

const FAKE_CRIU = join(import.meta.dirname, 'fake-criu-dump.ts');
/** Compiled once, started often. */
const COMPILED = tempDirectory('compiled');
const GOLDEN = join(import.meta.dirname, '../offload-plane/checkpoints/contents/golden');

/**
 * Every verb is written to crun.log; a file `fail-<verb>` makes it fail with that text, and with a file
 * `die-of-<signal>` a container ends of that signal.
 */
const CRUN = `
if [ "$1" = --version ]; then echo 'crun version 1.28'; exit; fi
while [ "$1" = --root ] || [ "$1" = --cgroup-manager ]; do shift 2; done
echo "$*" >> "$DIR/crun.log"
if [ "$1" = state ]; then cat "$DIR/state-$2"; exit; fi
if [ -e "$DIR/fail-$1" ]; then cat "$DIR/fail-$1" >&2; exit 1; fi
if [ "$1" = kill ] && [ -e "$DIR/die-of-$3" ]; then
  printf 143 > "$DIR/$2.exit" && mv "$DIR/$2.exit" "$DIR/run/exits/$2"
fi
if [ "$1" = checkpoint ]; then GOLDEN="$(cat "$DIR/golden" 2>/dev/null)" NODE_COMPILE_CACHE="$COMPILED" exec "$NODE" "$FAKE_CRIU" "$@"; fi
`;
/** The verdict is the pid 4242; a file fail-conmon has another. */
const CONMON = `
if [ "$1" = --version ]; then echo 'conmon version 2.1.12'; exit; fi
echo "$*" >> "$DIR/conmon.log"
if [ -e "$DIR/fail-conmon" ]; then cat "$DIR/fail-conmon" >&3; exit 1; fi
if [ -e "$DIR/exit-at-once" ]; then cp "$DIR/exit-at-once" "$DIR/run/exits/$(cat "$DIR/exits-as")"; fi
echo '{"data": 4242}' >&3
`;
/**
 * Stays until it is ended; a file fail-pager makes it fail with that text, hang-pager never ready. With a directory
 * `pagers` somebody else plays it: see played-pagers.ts.
 */
const PAGER = `
if [ "$1" = --version ]; then echo 'offload-pager 0.1.0'; exit; fi
echo "$*" >> "$DIR/pager.log"
echo $$ > "$DIR/pager.pid"
if [ -e "$DIR/fail-pager" ]; then cat "$DIR/fail-pager" >&2; exit 1; fi
if [ -d "$DIR/pagers" ]; then
  mkfifo "$DIR/pagers/$$.says"
  echo "$*" > "$DIR/pagers/$$.new" && mv "$DIR/pagers/$$.new" "$DIR/pagers/$$.args"
  while read -r word; do
    case "$word" in
      ready) echo ready ;;
      done) echo 'done installed=' >&2; exit 0 ;;
      *) echo "$word" >&2; exit 1 ;;
    esac
  done < "$DIR/pagers/$$.says"
  exit 1
fi
[ -e "$DIR/hang-pager" ] || echo ready
exec sleep 600
`;
/** Finds that the kernel tracks changes, which is all it is asked. */
const CRIU = '';

export interface AgentWorld {
  directory: string;
  paths: AgentPaths;
  agent: Agent;
  /** As if the agent had been killed: another one over the same files, which finds these programs. */
  restart(programs?: LeftoverProgram[]): Promise<void>;
  /** What crun was asked for, one line a call, without its global options. */
  crunCalls(): string[];
  /** Makes a fake fail with this message from now on; undefined: no longer. */
  fail(program: string, message: string): void;
  /** What conmon does when a container ends. */
  leaveExit(id: string, exitCode: number): void;
  mounted: Set<string>;
  attached: Set<string>;
  /** The plane's ends of the connections that the agent has dialled. */
  dialled: Duplex[];
  /** The leases of checkpoints, each for so long unless a test ends it before. */
  leases: Lease[];
}

interface Lease {
  delayMs: number;
  end: () => void;
}

export interface AgentWorldOptions {
  /** How the agent reaches a port of the plane; default: a pair of streams, see `dialled`. */
  dial?: (port: number) => Promise<Duplex>;
  /** Containers have cgroups, and end when these are killed; changes are tracked; dumps have CRIU's images. */
  isWhole?: boolean;
}

export async function createAgentWorld(
  name: string,
  { dial, isWhole = false }: AgentWorldOptions = {},
): Promise<AgentWorld> {
  const directory = tempDirectory(name);
  const paths: AgentPaths = {
    runDirectory: join(directory, 'run'),
    dataDirectory: join(directory, 'data'),
    programDirectory: join(directory, 'programs'),
    cgroupRoot: join(directory, 'cgroup'),
    seccompProfile: join(directory, 'seccomp.json'),
  };
  const { seccompProfile, ...directories } = paths;
  for (const path of Object.values(directories)) mkdirSync(path);
  writeFileSync(seccompProfile, '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}');
  if (isWhole) writeFileSync(join(directory, 'golden'), GOLDEN);
  const programs = { crun: CRUN, conmon: CONMON, 'offload-pager': PAGER, ...(isWhole ? { criu: CRIU } : {}) };
  for (const [program, script] of Object.entries(programs)) {
    const path = join(paths.programDirectory, program);
    const head = `#!/bin/sh\nDIR='${directory}'\nNODE='${process.execPath}'\nFAKE_CRIU='${FAKE_CRIU}'\nCOMPILED='${COMPILED}'\n`;
    writeFileSync(path, head + script);
    chmodSync(path, 0o755);
  }
  const run: RunProgram = (command, args, options) => {
    const fake = join(paths.programDirectory, basename(command));
    return runProgram(existsSync(fake) ? fake : command, args, options);
  };
  const [mounted, attached, dialled] = [new Set<string>(), new Set<string>(), [] as Duplex[]];
  const leases: Lease[] = [];
  const cgroups = isWhole
    ? createCgroups(paths, (id) => {
        const { containers } = world.agent;
        if (containers.has(id) && !containers.get(id).removing) world.leaveExit(id, 137);
      })
    : undefined;
  const dialPlane = async (port: number) => {
    if (dial) return dial(port);
    const [near, far] = duplexPair();
    far.on('error', () => {});
    dialled.push(far);
    return near;
  };
  const startAgent = (programs: LeftoverProgram[]) =>
    createAgent({
      paths,
      run,
      dialPlane,
      connectAttach: async () => {
        throw new Error('no attach socket');
      },
      nowMs: () => performance.now(),
      later(act, delayMs) {
        const timer = setTimeout(act, delayMs);
        leases.push({ delayMs, end: act });
        return () => clearTimeout(timer);
      },
      freshId: randomUUID,
      createTimeoutMs: 120_000,
      conmonProgram: join(paths.programDirectory, 'conmon'),
      parts: fakeParts(directory, mounted, attached, programs, cgroups),
    });
  const world: AgentWorld = {
    directory,
    paths,
    mounted,
    attached,
    dialled,
    leases,
    agent: await startAgent([]),
    async restart(programs = []) {
      world.agent.close();
      world.agent = await startAgent(programs);
    },
    crunCalls() {
      const log = join(directory, 'crun.log');
      return existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
    },
    fail: (program, message) => writeFileSync(join(directory, `fail-${program}`), message),
    leaveExit(id, exitCode) {
      // As conmon does: a file of another name first, so that nobody reads half of it.
      const path = join(exitDirectory(paths), id);
      writeFileSync(`${path}.half`, String(exitCode));
      renameSync(`${path}.half`, path);
    },
  };
  return world;
}

/** Mounts and networks by name only: the real ones need a guest. */
function fakeParts(
  directory: string,
  mounted: Set<string>,
  attached: Set<string>,
  programs: LeftoverProgram[],
  cgroups: Cgroups | undefined,
): GuestParts {
  const devices = (kind: string) => ({
    adopt: (lun: number) => void mounted.add(`${kind} ${lun}`),
    releaseUnused: async () => {},
  });
  return {
    networks: {
      async attach(namespace) {
        attached.add(namespace);
        cgroups?.make(namespace.replace(/^op-/, ''));
      },
      ensure: async (namespace) => void attached.add(namespace),
      async detach(namespace) {
        attached.delete(namespace);
        cgroups?.remove(namespace.replace(/^op-/, ''));
      },
    },
    rootfs: {
      async mount(id, _lun, own) {
        if (existsSync(join(directory, 'fail-mount'))) throw new Error('no such device');
        mounted.add(id);
        for (const path of [own.upper, own.rootfs]) mkdirSync(path, { recursive: true });
      },
      readText: (own, path) => readFile(join(own.rootfs, path), 'utf8').catch(() => ''),
      async unmount(id, lun) {
        mounted.delete(id);
        mounted.delete(`image ${lun}`);
      },
    },
    volumes: {
      async mount({ volumes = [] }) {
        for (const { lun } of volumes) mounted.add(`volume ${lun}`);
      },
      async release(_id, volumes = []) {
        for (const { lun } of volumes) mounted.delete(`volume ${lun}`);
      },
      async unmount(_id, volumes = []) {
        for (const { lun } of volumes) mounted.delete(`volume ${lun}`);
      },
    },
    imageDevices: devices('image'),
    volumeDevices: devices('volume'),
    listPrograms: async () => programs,
  };
}

type Cgroups = ReturnType<typeof createCgroups>;

/** Directories with a file `cgroup.kill`: when something was written there, `onKilled` is told. */
function createCgroups(paths: AgentPaths, onKilled: (id: string) => void) {
  const watchers = new Map<string, FSWatcher>();
  return {
    make(id: string): void {
      const { cgroup } = containerPaths(paths, id);
      const kill = join(cgroup, 'cgroup.kill');
      mkdirSync(cgroup, { recursive: true });
      writeFileSync(kill, '');
      const look = () => {
        if (existsSync(kill) && readFileSync(kill, 'utf8') !== '') onKilled(id);
      };
      watchers.get(id)?.close();
      watchers.set(id, watch(kill, { persistent: false }, look));
    },
    remove(id: string): void {
      watchers.get(id)?.close();
      watchers.delete(id);
      rmSync(containerPaths(paths, id).cgroup, { recursive: true, force: true });
    },
  };
}

/** Makes the container's cgroup, which crun would have made. */
export function makeCgroup(world: AgentWorld, id: string): string {
  const { cgroup } = containerPaths(world.paths, id);
  mkdirSync(cgroup, { recursive: true });
  return cgroup;
}
