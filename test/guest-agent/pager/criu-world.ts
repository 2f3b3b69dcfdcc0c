/**
 * Real CRIU around the pager, without a guest: the guest image's root filesystem carries the CRIU that
 * guests use, and a private mount and pid namespace makes it this machine's for the length of one command.
 *
 * What it takes on a machine that has neither CAP_SYS_RESOURCE nor a clean cgroup v2:
 * - a root of its own by pivot_root: under a mere chroot CRIU meets mounts it cannot look up;
 * - a fresh pid namespace for each restore, and a process that was dumped with a pid (1000) that CRIU's own
 *   helpers do not take (ns_last_pid);
 * - --manage-cgroups=ignore, and --network-lock skip as there is no nft in that root;
 * - a shell as first process of the namespace: were it CRIU, zombies would become CRIU's children, and its
 *   wait for the dumped tasks takes such a child for a bug;
 * - a process without descriptors from outside that root, in a session of its own.
 * CRIU prints `Can't setup RLIMIT_NOFILE` and goes on.
 */
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { execa } from 'execa';

const SOURCES = join(import.meta.dirname, '../../../guest-agent/pager');
export const ASAN_PAGER = join(SOURCES, 'build/asan/offload-pager');
export const PAGER = process.env.PAGER_ASAN ? ASAN_PAGER : join(SOURCES, 'build/offload-pager');
/** Kills itself at points of its own choice; see guest-agent/pager/test/settle-or-die.c. */
export const DYING_PAGER = join(SOURCES, 'build/dying/offload-pager');
export const MEMCHECK = join(SOURCES, 'build/offload-memcheck');
export const HEAP = join(SOURCES, 'build/test/heap');
const STEP_TIMEOUT_MS = 60_000;

const cacheRoot = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
const rootfs = process.env.OFFLOAD_TEST_ROOTFS
  ? [process.env.OFFLOAD_TEST_ROOTFS]
  : globSync(join(cacheRoot, 'offload-plane/guest-image/*/rootfs'));
const root = rootfs.find((path) => existsSync(join(path, 'usr/sbin/criu')));

/** Why tests with real CRIU cannot run here; empty when they can. */
export const criuMissing =
  process.getuid?.() !== 0
    ? 'needs root'
    : root === undefined
      ? 'no guest image with CRIU in the cache (build it first)'
      : '';

/** Test files run side by side, and make knows nothing of another make: one at a time. */
export async function make(...goals: readonly string[]): Promise<string> {
  const { stdout } = await execa('flock', [SOURCES, 'make', '-s', '-C', SOURCES, ...goals], {
    timeout: 120_000,
  });
  return stdout;
}

export async function buildPrograms(): Promise<void> {
  await make('all', 'heap', 'dying', ...(process.env.PAGER_ASAN ? ['asan'] : []));
}

const ENTER = `
mount --bind "$ROOT" "$DIR/root" && cd "$DIR/root" || exit 9
mount -t tmpfs run run && mkdir run/test run/old && mount --bind "$DIR" run/test || exit 9
mount -t proc proc proc && mount -t sysfs sys sys && mount -t tmpfs dev dev || exit 9
for node in null zero random urandom; do touch dev/$node; mount --bind /dev/$node dev/$node || exit 9; done
pivot_root . run/old && umount -l run/old || exit 9
exec "$@"
`;

const DUMP = `
echo 999 > /proc/sys/kernel/ns_last_pid
/run/test/bin/heap /run/test/heap.sock "$1" "$2" "$3" </dev/null &
until [ -e /run/test/heap.sock.ready ]; do read -r -t 0.02 line; done
criu dump -t $! -D /run/test/images -v2 -o dump.log --manage-cgroups=ignore --network-lock skip </dev/null
exit $?
`;

/* The first process of the namespace: lives until its standard input is closed, and all go with it. */
const RESTORE = `
rm -f /run/test/heap.sock
criu restore -d --lazy-pages -D /run/test/images -W /run/test/work -v2 -o restore.log --manage-cgroups=ignore \\
  </dev/null >/dev/null 2>&1
echo "restored $?"
read -r line
`;

const UNSHARE = `
[ -z "$CGROUP" ] || echo $$ > "$CGROUP/cgroup.procs" || exit 9
exec unshare --mount --pid --fork --kill-child --propagation private sh -c "$ENTER" enter bash -c "$SCRIPT" script "$@"
`;

function inside(directory: string, script: string, args: readonly string[], cgroup = '') {
  const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return execa('sh', ['-c', UNSHARE, 'inside', ...args], {
    env: { ROOT: root ?? '', DIR: directory, CGROUP: cgroup, ENTER, SCRIPT: script, PATH },
    timeout: STEP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    reject: false,
    stdin: 'pipe',
  });
}

let cgroupCount = 0;

/** A cgroup v2 directory of our own, or undefined where there is no such hierarchy. */
export function makeCgroup(): { path: string; remove(): Promise<void> } | undefined {
  const mount = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === 'cgroup2');
  if (mount === undefined) return undefined;
  const path = join(mount.split(' ')[1]!, `pager-test-${process.pid}-${cgroupCount++}`);
  mkdirSync(path);
  return { path, remove: () => removeCgroup(path) };
}

/** Busy as long as a killed process is not quite gone. */
async function removeCgroup(path: string): Promise<void> {
  const untilMs = performance.now() + 5_000;
  for (;;) {
    try {
      return rmdirSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || performance.now() > untilMs) throw error;
      await setImmediate();
    }
  }
}

export interface Checkpoint {
  directory: string;
  images: string;
  work: string;
}

const made: string[] = [];

/** Everything made here goes, whatever became of the tests. */
export function removeAll(): void {
  for (const directory of made.splice(0))
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}
process.on('exit', removeAll);

export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pager-test-'));
  made.push(directory);
  return directory;
}

/** A heap program of so many MiB, dumped by CRIU and gone. */
export async function checkpointHeap(mib: number, threadCount: number, childCount = 0): Promise<Checkpoint> {
  const directory = scratchDirectory();
  for (const name of ['root', 'images', 'work', 'bin']) mkdirSync(join(directory, name));
  copyFileSync(HEAP, join(directory, 'bin/heap'));
  const { exitCode, stderr } = await inside(directory, DUMP, [mib, threadCount, childCount].map(String));
  if (exitCode !== 0) throw new Error(`criu dump of the heap: exit ${exitCode}: ${stderr}`);
  return { directory, images: join(directory, 'images'), work: join(directory, 'work') };
}

export interface RunningPager {
  /** Settles when the pager has printed `ready`, or fails with what it said instead. */
  ready: Promise<void>;
  ended: Promise<{ exitCode: number | undefined; stderr: string }>;
  kill(signal: NodeJS.Signals): void;
  /** The supervisor's. */
  pid: number;
}

export function startPager(
  args: readonly string[],
  program = PAGER,
  env: Record<string, string> = {},
): RunningPager {
  const options = { reject: false, timeout: STEP_TIMEOUT_MS, killSignal: 'SIGKILL', env } as const;
  const subprocess = execa(program, args, options);
  const lines = createInterface({ input: subprocess.stdout });
  const ready = new Promise<void>((resolve, reject) => {
    lines.once('line', (line) => (line === 'ready' ? resolve() : reject(new Error(line))));
    lines.once('close', () => reject(new Error('the pager ended before it was ready')));
  });
  ready.catch(() => {});
  const ended = subprocess.then(({ exitCode, stderr }) => ({ exitCode, stderr }));
  return { ready, ended, kill: (signal) => subprocess.kill(signal), pid: subprocess.pid! };
}

export const localArgs = (checkpoint: Checkpoint, ...more: string[]) => [
  '--images-dir',
  checkpoint.images,
  '--work-dir',
  checkpoint.work,
  ...more,
];

export interface Restored {
  exitCode: number;
  ask(command: string): Promise<string | undefined>;
  end(): Promise<void>;
}

/** `criu restore --lazy-pages`, in a namespace that lives until end(). */
export async function restore(checkpoint: Checkpoint, cgroup?: string): Promise<Restored> {
  const subprocess = inside(checkpoint.directory, RESTORE, [], cgroup);
  subprocess.stdin!.on('error', () => {}); // its reader may have been killed
  const line = await new Promise<string>((resolve) => {
    const lines = createInterface({ input: subprocess.stdout! });
    lines.once('line', resolve);
    lines.once('close', () => resolve('restored 1'));
  });
  return {
    exitCode: Number(line.split(' ')[1]),
    ask: (command) => ask(join(checkpoint.directory, 'heap.sock'), command),
    end: async () => {
      subprocess.stdin!.end();
      await subprocess;
    },
  };
}

/** One command to a heap program; undefined when it died over it. */
export function ask(path: string, command: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.write(`${command}\n`));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
      if (answer.endsWith('\n')) socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer.trim() || undefined));
  });
}

/** The numbers of the pager's closing line. */
export function countersOf(stderr: string): Record<string, number> {
  const line = stderr.split('\n').find((text) => text.includes(': done ')) ?? '';
  return Object.fromEntries([...line.matchAll(/(\w+)=(\d+)/g)].map((match) => [match[1], Number(match[2])]));
}

export function writeScratch(directory: string, name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}
