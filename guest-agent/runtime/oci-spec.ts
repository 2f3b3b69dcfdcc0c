/** config.json of a container (OCI runtime specification 1.0.2), as a pure function of the plane's record. */
import type { ContainerSpec } from '../../interconnect/agent-api.ts';
import type { ContainerPaths } from '../paths.ts';

/** What Docker and podman grant by default. */
const DEFAULT_CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

/** Files only: a masked directory is a bind mount that crun 1.28 cannot name to CRIU at a restore in another guest. */
const MASKED_PATHS = [
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
];
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/**
 * io_uring is refused, as Docker's default profile does: CRIU cannot dump a ring, and libuv opens some for
 * epoll when it may (Node 24 does, whatever UV_USE_IO_URING says) and goes on without when it may not.
 */
const SECCOMP = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [
    {
      names: ['io_uring_setup', 'io_uring_enter', 'io_uring_register'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 1,
    },
  ],
};

const MOUNTS = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
];

/** The network namespace is given by path, so that it stays outside a checkpoint (the agent makes it again). */
export function ociSpec(spec: ContainerSpec, paths: ContainerPaths): object {
  const [uid, gid] = spec.user.split(':').map(Number);
  const memory = spec.memoryLimitBytes === undefined ? {} : { memory: { limit: spec.memoryLimitBytes } };
  return {
    ociVersion: '1.0.2',
    hostname: spec.hostname,
    root: { path: paths.rootfs, readonly: false },
    process: {
      terminal: false,
      user: { uid, gid },
      args: spec.command,
      env: spec.env,
      cwd: spec.workingDir,
      capabilities: {
        bounding: DEFAULT_CAPABILITIES,
        effective: DEFAULT_CAPABILITIES,
        permitted: DEFAULT_CAPABILITIES,
      },
      noNewPrivileges: true,
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 65_536, soft: 65_536 }],
    },
    mounts: MOUNTS,
    annotations: { 'org.criu.config': paths.criuConfig },
    linux: {
      cgroupsPath: `/offload/${spec.id}`,
      namespaces: [
        { type: 'pid' },
        { type: 'mount' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'cgroup' },
        { type: 'network', path: `/run/netns/${paths.networkNamespace}` },
      ],
      resources: { pids: { limit: 4096 }, ...memory },
      seccomp: SECCOMP,
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  };
}
