/** config.json of a container (OCI runtime specification 1.0.2), as a pure function of the plane's record. */
import type { ContainerSpec } from '../../interconnect/agent-api.ts';
import { DEFAULT_CAPABILITIES } from '../../interconnect/capabilities.ts';
import type { ContainerPaths } from '../paths.ts';
import type { OciUser } from '../users.ts';
import { volumeData } from '../volumes.ts';

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

const DEFAULT_PID_LIMIT = 4096;
const CPU_PERIOD_US = 100_000;

export interface OciOptions {
  /** The spec's, looked up. */
  user: OciUser;
  /** See seccomp-profile.ts. */
  seccomp: object;
  /** Where the volume of a LUN is mounted. */
  volumeMount: (lun: number) => string;
}

/** The network namespace is given by path, so that it stays outside a checkpoint (the agent makes it again). */
export function ociSpec(spec: ContainerSpec, paths: ContainerPaths, options: OciOptions): object {
  const capabilities = spec.capabilities ?? DEFAULT_CAPABILITIES;
  return {
    ociVersion: '1.0.2',
    hostname: spec.hostname,
    root: { path: paths.rootfs, readonly: spec.readonlyRootfs ?? false },
    process: {
      terminal: spec.terminal ?? false,
      user: options.user,
      args: spec.command,
      env: spec.env,
      cwd: spec.workingDir,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 65_536, soft: 65_536 }],
    },
    mounts: [...MOUNTS, ...tmpfsMounts(spec), ...volumeMounts(spec, options)],
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
      resources: resources(spec),
      seccomp: options.seccomp,
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  };
}

function resources(spec: ContainerSpec): object {
  const { memoryLimitBytes, cpuLimitMillicores, pidLimit } = spec;
  const quota = cpuLimitMillicores === undefined ? undefined : (cpuLimitMillicores * CPU_PERIOD_US) / 1000;
  return {
    pids: { limit: pidLimit ?? DEFAULT_PID_LIMIT },
    ...(quota === undefined ? {} : { cpu: { quota, period: CPU_PERIOD_US } }),
    ...(memoryLimitBytes === undefined ? {} : { memory: { limit: memoryLimitBytes } }),
  };
}

function tmpfsMounts({ tmpfs = [] }: ContainerSpec): object[] {
  return tmpfs.map(({ destination, sizeBytes, mode = 0o1777 }) => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: [
      'nosuid',
      'nodev',
      `mode=${mode.toString(8)}`,
      ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
    ],
  }));
}

function volumeMounts({ volumes = [] }: ContainerSpec, { volumeMount }: OciOptions): object[] {
  return volumes.map(({ lun, destination, readOnly }) => ({
    destination,
    type: 'bind',
    source: volumeData(volumeMount(lun)),
    options: ['bind', readOnly ? 'ro' : 'rw'],
  }));
}
