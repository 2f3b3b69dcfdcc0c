/**
 * Real CRIU on this machine, without a guest: commands run in the guest image's root filesystem with a
 * mount and a pid namespace of their own, and with this machine's network, so that CRIU reaches a page
 * server of ours on 127.0.0.1. test/guest-agent/pager/criu-world.ts says why each step is needed.
 */
import { copyFileSync, existsSync, globSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { tempDirectory } from './temp-directory.ts';

const HEAP_PROGRAM = join(import.meta.dirname, '../../guest-agent/pager/build/test/heap');
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

/** $1: MiB of heap, $2: threads, $3, $4: ports of the page servers of the first dump and of the second. */
const DUMP_TWICE = `
echo 999 > /proc/sys/kernel/ns_last_pid
/run/test/bin/heap /run/test/heap.sock "$1" "$2" 0 </dev/null &
until [ -e /run/test/heap.sock.ready ]; do read -r -t 0.02 line; done
mkdir /run/test/earlier
criu pre-dump -t $! -D /run/test/earlier -o ../pre-dump.log ${COMMON} --track-mem \
  --page-server --address 127.0.0.1 --port "$3" </dev/null >/dev/null 2>&1
echo "earlier $?"
read -r line
exec criu dump -t $! -D /run/test/images -o ../dump.log ${COMMON} --track-mem --prev-images-dir ../earlier \
  --page-server --address 127.0.0.1 --port "$4" </dev/null
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
export function prepareDirectory(directory: string): void {
  for (const name of ['root', 'images', 'work', 'bin']) mkdirSync(join(directory, name), { recursive: true });
  copyFileSync(HEAP_PROGRAM, join(directory, 'bin/heap'));
}

function inside(directory: string, script: string, args: string[]) {
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
  const command = ['sh', '-c', ENTER, 'enter', 'bash', '-c', script, 'script'];
  return execa('unshare', [...namespaces, ...command, ...args], {
    env: {
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

/** Why CRIU cannot tell which pages have changed; empty when it can. */
export async function dirtyTrackingMissing(): Promise<string> {
  const directory = tempDirectory('criu-check');
  mkdirSync(join(directory, 'root'));
  const { exitCode } = await inside(directory, 'exec criu check --feature mem_dirty_track', []);
  return exitCode === 0 ? '' : 'the kernel has no soft-dirty pages (CONFIG_MEM_SOFT_DIRTY)';
}

/** The heap program dumped while it runs on, and again on top of that after `between`. */
export async function dumpHeapTwice(
  directory: string,
  size: { mib: number; threadCount: number },
  ports: { first: number; second: number },
  between: () => Promise<void>,
): Promise<void> {
  const args = [size.mib, size.threadCount, ports.first, ports.second].map(String);
  const subprocess = inside(directory, DUMP_TWICE, args);
  let output = '';
  const dumpedOnce = new Promise<void>((resolve, reject) => {
    subprocess.stdout?.on('data', (chunk) => {
      output += chunk;
      if (output.includes('earlier 0\n')) resolve();
      else if (output.includes('earlier ')) reject(new Error(`criu pre-dump: ${output}`));
    });
    void subprocess.then(({ stderr }) => reject(new Error(`criu pre-dump: ${stderr}`)));
  });
  try {
    await dumpedOnce;
    await between();
  } finally {
    subprocess.stdin?.end('\n');
    await subprocess;
  }
  const { exitCode, stderr } = await subprocess;
  if (exitCode !== 0) throw new Error(`criu dump: exit ${exitCode}: ${stderr}`);
}

export interface RestoredHeap {
  /** Exit code of `criu restore`. */
  exitCode: number;
  /** Exit code of a stock `criu lazy-pages`, when it has ended. */
  lazyPagesEnded: Promise<number>;
  /** Ends every process of the restore. */
  end(): Promise<void>;
}

export async function restoreHeap(
  directory: string,
  options: { lazyPagesPort?: number; eager?: boolean } = {},
): Promise<RestoredHeap> {
  const port = options.lazyPagesPort === undefined ? '' : String(options.lazyPagesPort);
  const subprocess = inside(directory, RESTORE, [port, options.eager ? '' : '--lazy-pages']);
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
    lazyPagesEnded: numberAfter('lazy-pages'),
    end: async () => {
      subprocess.stdin?.end();
      await subprocess;
    },
  };
}
