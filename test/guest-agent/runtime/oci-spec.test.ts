import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { containerPaths, guestPaths } from '../../../guest-agent/paths.ts';
import { ociSpec } from '../../../guest-agent/runtime/oci-spec.ts';
import { IO_URING_ONLY } from '../../../guest-agent/runtime/seccomp-profile.ts';
import type { ContainerSpec } from '../../../interconnect/agent-api.ts';
import { CONTAINER_SPEC } from '../../helpers/container-spec.ts';

interface Oci {
  hostname: string;
  root: { path: string; readonly: boolean };
  process: {
    user: object;
    args: string[];
    env: string[];
    cwd: string;
    noNewPrivileges: boolean;
    terminal: boolean;
    capabilities: Record<string, string[]>;
  };
  annotations: Record<string, string>;
  mounts: { destination: string; type: string; source: string; options: string[] }[];
  linux: {
    cgroupsPath: string;
    namespaces: { type: string; path?: string }[];
    resources: {
      memory?: { limit: number };
      cpu?: { quota: number; period: number };
      pids: { limit: number };
    };
    seccomp: { syscalls: { names: string[] }[] };
  };
}
const paths = containerPaths(guestPaths, 'web');
const options = {
  user: { uid: 33, gid: 44 },
  seccomp: IO_URING_ONLY,
  volumeMount: (lun: number) => `/volumes/${lun}`,
};
const oci = (fields: Partial<ContainerSpec> = {}) =>
  ociSpec({ ...CONTAINER_SPEC, ...fields }, paths, options) as Oci;

test('what runs is what the plane asked for', () => {
  const { process, hostname, root } = oci({ user: '33:44', workingDir: '/srv', hostname: 'web-1' });
  assert.equal(process.args, CONTAINER_SPEC.command);
  assert.equal(process.env, CONTAINER_SPEC.env);
  assert.equal(process.user, { uid: 33, gid: 44 });
  assert.is(process.cwd, '/srv');
  assert.is(hostname, 'web-1');
  assert.equal(root, { path: paths.rootfs, readonly: false });
});

test('a container has namespaces of its own, the network one made before and given by path', () => {
  const { namespaces } = oci().linux;
  assert.equal(namespaces.map(({ type }) => type).sort(), [
    'cgroup',
    'ipc',
    'mount',
    'network',
    'pid',
    'uts',
  ]);
  assert.is(namespaces.find(({ type }) => type === 'network')?.path, '/run/netns/op-web');
  assert.is(oci().linux.cgroupsPath, '/offload/web');
});

test('CRIU reads its configuration from the bundle', () => {
  assert.equal(oci().annotations, { 'org.criu.config': paths.criuConfig });
});

test('privileges are few: no new ones, no administration, no io_uring', () => {
  const { process, linux } = oci();
  assert.ok(process.noNewPrivileges);
  for (const set of Object.values(process.capabilities)) assert.not(set.includes('CAP_SYS_ADMIN'));
  assert.ok(linux.seccomp.syscalls.some(({ names }) => names.includes('io_uring_setup')));
});

test('memory has a limit only when one was asked for; processes always do', () => {
  assert.is(oci().linux.resources.memory, undefined);
  const { resources } = oci({ memoryLimitBytes: 8_388_608 }).linux;
  assert.equal(resources.memory, { limit: 8_388_608 });
  assert.is(resources.pids.limit, 4096);
});

test('limits of processor and processes are what was asked for', () => {
  const { resources } = oci({ cpuLimitMillicores: 1_500, pidLimit: 32 }).linux;
  assert.equal(resources.cpu, { quota: 150_000, period: 100_000 });
  assert.is(resources.pids.limit, 32);
});

test('a container has exactly the capabilities that were asked for', () => {
  const { capabilities } = oci({ capabilities: ['CAP_NET_ADMIN'] }).process;
  assert.equal(Object.values(capabilities), Array(3).fill(['CAP_NET_ADMIN']));
});

test('a terminal and a root that nobody writes to are asked for', () => {
  assert.not(oci().process.terminal);
  assert.ok(oci({ terminal: true }).process.terminal);
  assert.ok(oci({ readonlyRootfs: true }).root.readonly);
});

test('file systems in memory have the size and the permissions asked for', () => {
  const { mounts } = oci({
    tmpfs: [{ destination: '/tmp' }, { destination: '/cache', sizeBytes: 65_536, mode: 0o700 }],
  });
  const find = (path: string) => mounts.find(({ destination }) => destination === path);
  assert.equal(find('/tmp')?.options, ['nosuid', 'nodev', 'mode=1777']);
  assert.equal(find('/cache')?.options, ['nosuid', 'nodev', 'mode=700', 'size=65536']);
  assert.is(find('/cache')?.type, 'tmpfs');
});

test('a volume is bound from where its block device is mounted, and may be read-only', () => {
  const { mounts } = oci({
    volumes: [
      { lun: 7, destination: '/data', readOnly: false },
      { lun: 8, destination: '/etc/keys', readOnly: true },
    ],
  });
  assert.equal(mounts.slice(-2), [
    { destination: '/data', type: 'bind', source: '/volumes/7/data', options: ['bind', 'rw'] },
    { destination: '/etc/keys', type: 'bind', source: '/volumes/8/data', options: ['bind', 'ro'] },
  ]);
});

test.run();
