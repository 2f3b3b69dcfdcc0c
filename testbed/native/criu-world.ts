/**
 * Real CRIU on this machine, without a guest: the guest image's root filesystem carries the CRIU that
 * guests use, and a private mount and pid namespace makes it this machine's as long as one shell lives.
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
 *
 * The network is the machine's own, so that CRIU reaches a page server of ours on 127.0.0.1.
 */
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';

const COMMAND_TIMEOUT_MS = 180_000;

const cacheRoot = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
const candidates = process.env.OFFLOAD_TEST_ROOTFS
  ? [process.env.OFFLOAD_TEST_ROOTFS]
  : globSync(join(cacheRoot, 'offload-plane/guest-image/*/rootfs'));
const guestRootfs = candidates.find((path) => existsSync(join(path, 'usr/sbin/criu')));

/** Why real CRIU cannot run here; empty when it can. */
export const criuMissing =
  process.getuid?.() !== 0
    ? 'needs root'
    : guestRootfs === undefined
      ? 'no guest image with CRIU in the cache (build it first)'
      : '';

/** Options of every dump and restore, of ours and of its peers. */
export const CRIU_OPTIONS = '-v2 --manage-cgroups=ignore --network-lock skip';

const NAMESPACES = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];

const ENTER = `
mount --bind "$ROOT" "$DIR/root" && cd "$DIR/root" || exit 9
mount -t tmpfs run run && mkdir run/test run/images run/state run/old && mount --bind "$DIR" run/test || exit 9
mount --bind "$IMAGES" run/images && mount --bind "$DIR/state" run/state || exit 9
for mount in $MOUNTS; do mkdir "run/\${mount%%=*}" && mount --bind "\${mount#*=}" "run/\${mount%%=*}" || exit 9; done
mount -t proc proc proc && mount -t sysfs sys sys && mount -t tmpfs dev dev || exit 9
for node in null zero random urandom; do touch dev/$node; mount --bind /dev/$node dev/$node || exit 9; done
pivot_root . run/old && umount -l run/old || exit 9
exec "$@"
`;

const JOIN_CGROUP = '[ -z "$CGROUP" ] || echo $$ > "$CGROUP/cgroup.procs" || exit 9; exec "$@"';

const SHELL_LOOP = `
echo 'exit 0'
while read -r line; do eval "$line"; echo "exit $?"; done
`;

/** Run before the program that is to be dumped: its pid and those of its threads are free in a new namespace. */
export const PIDS_FROM_1000 = 'echo 999 > /proc/sys/kernel/ns_last_pid';

/**
 * Makes the directory that a world shows at /run/test, with these programs in its bin. Its `state` is at
 * /run/state, where any user may write.
 */
export function prepareDirectory(directory: string, programs: readonly string[] = []): void {
  for (const name of ['root', 'images', 'work', 'bin', 'state'])
    mkdirSync(join(directory, name), { recursive: true });
  chmodSync(join(directory, 'state'), 0o777);
  for (const program of programs) copyFileSync(program, join(directory, 'bin', basename(program)));
}

export interface World {
  /** Everything inside descends from this process. */
  readonly pid: number;
  /** One line of bash, run by the first process of the namespaces. Resolves to its exit code. */
  run(command: string): Promise<number>;
  /** Ends every process inside. */
  close(): Promise<void>;
}

export interface WorldOptions {
  /** What is at /run/images. Default: the directory's own `images`. */
  images?: string;
  /** More directories, by their name below /run. */
  mounts?: Readonly<Record<string, string>>;
  /** The path of a cgroup v2 for all processes inside. */
  cgroup?: string;
}

/** @param directory made by prepareDirectory; at /run/test inside */
export async function openWorld(directory: string, options: WorldOptions = {}): Promise<World> {
  const shell = ['sh', '-c', ENTER, 'enter', 'bash', '-c', SHELL_LOOP];
  const subprocess = execa('sh', ['-c', JOIN_CGROUP, 'join', 'unshare', ...NAMESPACES, ...shell], {
    env: {
      CGROUP: options.cgroup ?? '',
      ROOT: guestRootfs ?? '',
      DIR: directory,
      IMAGES: options.images ?? join(directory, 'images'),
      MOUNTS: Object.entries(options.mounts ?? {})
        .map(([name, path]) => `${name}=${path}`)
        .join(' '),
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    },
    extendEnv: false,
    reject: false,
    buffer: { stdout: false },
    stdin: 'pipe',
  });
  subprocess.stdin.on('error', () => {}); // its reader may have been killed
  const lines = createInterface({ input: subprocess.stdout });
  const nextExit = () =>
    new Promise<number>((resolve, reject) => {
      const over = () =>
        reject(new OffloadError('runtime_failed', `native world ${directory}: it has ended`));
      const onLine = (line: string) => {
        if (!line.startsWith('exit ')) return;
        lines.off('line', onLine);
        lines.off('close', over);
        resolve(Number(line.slice(5)));
      };
      lines.on('line', onLine);
      lines.once('close', over);
    });
  const close = async () => {
    subprocess.stdin.end();
    await withDeadline(subprocess, COMMAND_TIMEOUT_MS, 'native world close').catch(() =>
      subprocess.kill('SIGKILL'),
    );
    await subprocess;
  };
  const opened = await withDeadline(nextExit(), COMMAND_TIMEOUT_MS, 'native world open').catch(
    () => undefined,
  );
  if (opened === undefined) {
    subprocess.kill('SIGKILL');
    const { stderr } = await subprocess;
    throw new OffloadError('runtime_failed', `native world ${directory}: ${stderr.slice(-400)}`);
  }
  return {
    pid: subprocess.pid!,
    run: (command) => {
      const exit = nextExit();
      subprocess.stdin.write(`${command}\n`);
      return withDeadline(exit, COMMAND_TIMEOUT_MS, `native world: ${command.slice(0, 60)}`);
    },
    close,
  };
}
