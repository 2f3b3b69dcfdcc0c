/** Where the agent keeps things in the guest. /run is a tmpfs (CRIU caches its kernel probes there too). */
import { join } from 'node:path';

export interface AgentPaths {
  /** Bundles and other small state, on tmpfs. */
  runDirectory: string;
  /** Writable layers of root filesystems, on the guest's disk. */
  dataDirectory: string;
  /** Directory with offload-pager and offload-memcheck. */
  programDirectory: string;
  cgroupRoot: string;
  /** Docker's seccomp profile, as podman reads it. */
  seccompProfile: string;
}

/** A static program of that name in the guest, from Debian. */
export const BUSYBOX = '/usr/bin/busybox';

export const guestPaths: AgentPaths = {
  runDirectory: '/run/offload',
  dataDirectory: '/var/lib/offload',
  programDirectory: '/opt/offload',
  cgroupRoot: '/sys/fs/cgroup',
  seccompProfile: '/usr/share/containers/seccomp.json',
};

const CGROUP = 'offload';
/** @param membership a task's /proc/PID/cgroup */
export const inContainerCgroup = (membership: string) => membership.startsWith(`0::/${CGROUP}/`);

/** Of bundles and of writable layers, one below for each container. */
export const containerDirectories = (paths: AgentPaths): [bundles: string, data: string] => [
  join(paths.runDirectory, 'containers'),
  join(paths.dataDirectory, 'containers'),
];

/** The files of one container. */
export function containerPaths(paths: AgentPaths, id: string) {
  const [bundle, data] = containerDirectories(paths).map((directory) => join(directory, id)) as [
    string,
    string,
  ];
  return {
    bundle,
    data,
    config: join(bundle, 'config.json'),
    criuConfig: join(bundle, 'criu.conf'),
    rootfs: join(bundle, 'rootfs'),
    pidFile: join(bundle, 'pid'),
    conmonPidFile: join(bundle, 'conmon.pid'),
    dumpImages: join(bundle, 'dump'),
    parentImages: join(bundle, 'parent'),
    dumpRootfsDiff: join(data, 'rootfs-diff.tar'),
    restoreImages: join(bundle, 'images'),
    restoreRootfsDiff: join(data, 'restore-rootfs-diff.tar'),
    tokenFile: join(bundle, 'token'),
    pagerLog: join(bundle, 'pager.log'),
    holdScript: join(bundle, 'hold.sh'),
    log: join(data, 'container.log'),
    upper: join(data, 'upper'),
    work: join(data, 'work'),
    cgroup: join(paths.cgroupRoot, CGROUP, id),
    attachSocket: join(bundle, 'attach'),
    control: join(bundle, 'ctl'),
    execs: join(bundle, 'execs'),
    networkNamespace: `op-${id}`,
  };
}
export type ContainerPaths = ReturnType<typeof containerPaths>;

export const exitDirectory = (paths: AgentPaths) => join(paths.runDirectory, 'exits');
export const eventLogFile = (paths: AgentPaths) => join(paths.runDirectory, 'events.ndjson');
export const crunRoot = (paths: AgentPaths) => join(paths.runDirectory, 'crun');
/** Below it, one mount point a LUN. */
export const imageMounts = (paths: AgentPaths) => join(paths.runDirectory, 'image-mounts');
export const volumeMounts = (paths: AgentPaths) => join(paths.runDirectory, 'volume-mounts');
