/**
 * Real CRIU on this machine, without a guest: commands run in the guest image's root filesystem with a
 * mount and a pid namespace of their own, and with this machine's network, so that CRIU reaches a page
 * server of ours on 127.0.0.1. test/guest-agent/pager/criu-world.ts says why each step is needed.
 */
import { copyFileSync, existsSync, globSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';

const HEAP_PROGRAMS = join(import.meta.dirname, '../../guest-agent/pager/build/test');
export type HeapProgram = 'heap' | 'heap-dynamic';
const STEP_TIMEOUT_MS = 60_000;
const cacheRoot = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
const candidates = process.env.OFFLOAD_TEST_ROOTFS
  ? [process.env.OFFLOAD_TEST_ROOTFS]
  : globSync(join(cacheRoot, 'offload-plane/guest-image/*/rootfs'));
export const criuRootfs = candidates.find((path) => existsSync(join(path, 'usr/sbin/criu')));

const ENTER = `
mount --bind "$ROOT" "$DIR/root" && cd "$DIR/root" || exit 9
mount -t tmpfs run run && mkdir run/test run/old && mount --bind "$DIR" run/test || exit 9
mount -t proc proc proc && mount -t sysfs sys sys && mount -t tmpfs dev dev || exit 9
for node in null zero urandom random; do touch dev/$node; mount --bind /dev/$node dev/$node || exit 9; done
[ -z "$FREEZER" ] || { mkdir run/freezer && mount --bind "$FREEZER" run/freezer; } || exit 9
pivot_root . run/old && umount -l run/old || exit 9
exec "$@"
`;

const COMMON = '-v2 --manage-cgroups=ignore --network-lock skip';

/** $1: MiB of heap, $2: threads, $3: the page server's port. */
const DUMP = `
echo 999 > /proc/sys/kernel/ns_last_pid
/run/test/bin/heap /run/test/heap.sock "$1" "$2" 0 </dev/null &
until [ -e /run/test/heap.sock.ready ]; do read -r -t 0.02 line; done
exec criu dump -t $! -D /run/test/images -o ../dump.log ${COMMON} \\
  --page-server --address 127.0.0.1 --port "$3" </dev/null
`;

/**
 * Serves the heap program; for each line `PORT DELAY_S` dumps it, leaving it alive, with a CRIU that is killed
 * after that time, and says `dumped` and CRIU's exit code. $1: MiB of heap, $2: threads, $3: options for criu.
 */
const DUMP_KILLED = `
echo 999 > /proc/sys/kernel/ns_last_pid
/run/test/bin/heap /run/test/heap.sock "$1" "$2" 0 </dev/null &
heap=$!
until [ -e /run/test/heap.sock.ready ]; do read -r -t 0.02 line; done
echo "serving 0"
while read -r port delay; do
  rm -rf /run/test/images; mkdir /run/test/images
  criu dump -t $heap --leave-running -D /run/test/images -o ../dump.log ${COMMON} $3 \\
    --page-server --address 127.0.0.1 --port "$port" </dev/null >/dev/null 2>&1 &
  criu=$!
  { sleep "$delay"; kill -9 $criu 2>/dev/null; } &
  killer=$!
  wait $criu 2>/dev/null
  code=$?
  kill $killer 2>/dev/null
  echo "dumped $code"
done
`;

/**
 * $1: the port of a page server for a stock lazy-pages; empty when a pager of ours listens already.
 * $2: --lazy-pages, or nothing when the files have every page: then nobody listens.
 */
const RESTORE = `
rm -f /run/test/heap.sock
if [ -n "$1" ]; then
  criu lazy-pages --page-server --address 127.0.0.1 --port "$1" -D /run/test/images -W /run/test/work \\
    -v2 -o lazy.log </dev/null >/dev/null 2>&1 &
  lazy=$!
  until [ -S /run/test/work/lazy-pages.socket ]; do read -r -t 0.02 line; done
fi
criu restore -d -D /run/test/images -W /run/test/work -o restore.log ${COMMON} $2 \\
  </dev/null >/dev/null 2>&1
echo "restored $?"
if [ -n "$1" ]; then wait $lazy; echo "lazy-pages $?"; fi
read -r line
`;

/** A directory as the commands see it at /run/test. */
export function prepareDirectory(directory: string, program: HeapProgram = 'heap'): void {
  for (const name of ['root', 'images', 'work', 'bin']) mkdirSync(join(directory, name), { recursive: true });
  copyFileSync(join(HEAP_PROGRAMS, program), join(directory, 'bin/heap'));
}

const JOIN = '[ -z "$CGROUP" ] || echo $$ > "$CGROUP/cgroup.procs" || exit 9; exec "$@"';

function inside(directory: string, script: string, args: string[], cgroup = '', freezer = '') {
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
  const command = ['sh', '-c', ENTER, 'enter', 'bash', '-c', script, 'script'];
  return execa('sh', ['-c', JOIN, 'join', 'unshare', ...namespaces, ...command, ...args], {
    env: {
      CGROUP: cgroup,
      FREEZER: freezer,
      ROOT: criuRootfs ?? '',
      DIR: directory,
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    },
    timeout: STEP_TIMEOUT_MS,
    killSignal: 'SIGKILL',
    reject: false,
    stdin: 'pipe',
  });
}

/** Starts the heap program and dumps it through the page server at `port`. */
export async function dumpHeap(
  directory: string,
  mib: number,
  threadCount: number,
  port: number,
): Promise<void> {
  const { exitCode, stderr } = await inside(directory, DUMP, [mib, threadCount, port].map(String));
  if (exitCode !== 0) throw new Error(`criu dump: exit ${exitCode}: ${stderr}`);
}

export interface ServedHeap {
  /** Of the process that made the namespace; it is not in it. */
  pid: number;
  /** Dumps to that port and kills CRIU after so many seconds; its exit code, 137 when it was killed. */
  dumpAndKill(port: number, delayS: number): Promise<number>;
  end(): Promise<void>;
}

/** @param freezer a cgroup that CRIU shall freeze and thaw */
export async function serveHeap(
  directory: string,
  mib: number,
  threadCount: number,
  freezer = '',
): Promise<ServedHeap> {
  const criuOptions = freezer === '' ? '' : '--freeze-cgroup /run/freezer';
  const subprocess = inside(
    directory,
    DUMP_KILLED,
    [String(mib), String(threadCount), criuOptions],
    '',
    freezer,
  );
  const said = createInterface({ input: subprocess.stdout! })[Symbol.asyncIterator]();
  const number = async () => Number((await said.next()).value?.split(' ')[1] ?? -1);
  if ((await number()) !== 0) throw new Error(`the heap program did not start: ${(await subprocess).stderr}`);
  return {
    pid: subprocess.pid!,
    dumpAndKill: (port, delayS) => {
      subprocess.stdin!.write(`${port} ${delayS}\n`);
      return number();
    },
    end: async () => {
      subprocess.stdin!.end();
      await subprocess;
    },
  };
}

export interface RestoredHeap {
  /** Of the process that made the namespace; it is not in it. */
  pid: number;
  /** Exit code of `criu restore`. */
  exitCode: number;
  /** Exit code of a stock `criu lazy-pages`, when it has ended. */
  lazyPagesEnded: Promise<number>;
  /** Ends every process of the restore. */
  end(): Promise<void>;
}

export async function restoreHeap(
  directory: string,
  options: { lazyPagesPort?: number; eager?: boolean; cgroup?: string } = {},
): Promise<RestoredHeap> {
  const port = options.lazyPagesPort === undefined ? '' : String(options.lazyPagesPort);
  const subprocess = inside(directory, RESTORE, [port, options.eager ? '' : '--lazy-pages'], options.cgroup);
  subprocess.stdin?.on('error', () => {}); // its reader may have been killed
  let output = '';
  const waiting: (() => void)[] = [];
  subprocess.stdout?.on('data', (chunk) => {
    output += chunk;
    for (const look of waiting) look();
  });
  const numberAfter = (word: string) =>
    new Promise<number>((resolve) => {
      const look = () => {
        const found = new RegExp(`${word} (\\d+)\\n`).exec(output);
        if (found) resolve(Number(found[1]));
      };
      waiting.push(look);
      look();
      void subprocess.then(() => resolve(-1));
    });
  return {
    exitCode: await numberAfter('restored'),
    pid: subprocess.pid!,
    lazyPagesEnded: numberAfter('lazy-pages'),
    end: async () => {
      subprocess.stdin?.end();
      await subprocess;
    },
  };
}
