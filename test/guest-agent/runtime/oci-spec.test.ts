import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { containerPaths, guestPaths } from '../../../guest-agent/paths.ts';
import { ociSpec } from '../../../guest-agent/runtime/oci-spec.ts';
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
    capabilities: Record<string, string[]>;
  };
  annotations: Record<string, string>;
  linux: {
    cgroupsPath: string;
    namespaces: { type: string; path?: string }[];
    resources: { memory?: { limit: number }; pids: { limit: number } };
    seccomp: { syscalls: { names: string[] }[] };
  };
}
const paths = containerPaths(guestPaths, 'web');
const oci = (fields: Partial<ContainerSpec> = {}) => ociSpec({ ...CONTAINER_SPEC, ...fields }, paths) as Oci;

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

test.run();
