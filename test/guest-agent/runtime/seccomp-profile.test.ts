import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  IO_URING_ONLY,
  ociSeccomp,
  readSeccomp,
  type SeccompProfile,
} from '../../../guest-agent/runtime/seccomp-profile.ts';
import { CONTAINER_SPEC } from '../../helpers/container-spec.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const SUBJECT = { capabilities: ['CAP_KILL'], arch: 'x64', kernel: '6.12.1-cloud' };
const PROFILE: SeccompProfile = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 38,
  archMap: [
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
  ],
  syscalls: [
    { names: ['read', 'io_uring_enter', 'write'], action: 'SCMP_ACT_ALLOW', args: [] },
    { names: ['io_uring_setup'], action: 'SCMP_ACT_ALLOW' },
    { names: ['reboot'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_BOOT'] } },
    { names: ['bpf'], action: 'SCMP_ACT_ERRNO', errnoRet: 1, excludes: { caps: ['CAP_KILL'] } },
    { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['amd64'] } },
    { names: ['arm_fadvise64_64'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['arm', 'arm64'] } },
    { names: ['ptrace'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } },
    { names: ['future'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '6.13' } },
    {
      names: ['personality'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: 8, valueTwo: 0, op: 'SCMP_CMP_EQ' }],
    },
  ],
};
interface Oci {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures: string[];
  syscalls: { names: string[]; action: string; args?: object[]; errnoRet?: number }[];
}
const oci = (subject = {}) => ociSeccomp(PROFILE, { ...SUBJECT, ...subject }) as Oci;
const allowed = ({ syscalls }: Oci) =>
  syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap(({ names }) => names);

test('a rule holds by the capabilities, the architecture and the kernel that it names', () => {
  assert.equal(allowed(oci()), ['read', 'write', 'arch_prctl', 'ptrace', 'personality']);
  assert.ok(allowed(oci({ capabilities: ['CAP_SYS_BOOT'] })).includes('reboot'));
  assert.ok(oci({ capabilities: [] }).syscalls.some(({ names }) => names.includes('bpf')));
  assert.ok(allowed(oci({ arch: 'arm64' })).includes('arm_fadvise64_64'));
  assert.ok(allowed(oci({ kernel: '6.13.0' })).includes('future'));
});

test('what OCI knows is kept as it is: the default, arguments, error numbers, the architecture with its parts', () => {
  const { defaultAction, defaultErrnoRet, architectures, syscalls } = oci({ capabilities: [] });
  assert.is(defaultAction, 'SCMP_ACT_ERRNO');
  assert.is(defaultErrnoRet, 38);
  assert.equal(architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  assert.is(syscalls.find(({ names }) => names.includes('bpf'))?.errnoRet, 1);
  assert.equal(
    syscalls.find(({ names }) => names.includes('personality'))?.args,
    PROFILE.syscalls.at(-1)?.args,
  );
});

test('io_uring is refused, whatever the profile says', () => {
  const { syscalls } = oci();
  const rules = syscalls.filter(({ names }) => names.some((name) => name.startsWith('io_uring')));
  assert.equal(rules, [
    {
      names: ['io_uring_setup', 'io_uring_enter', 'io_uring_register'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 1,
    },
  ]);
});

test('only a container that asks for it has the profile, and a guest without one says so', async () => {
  const path = join(tempDirectory('seccomp'), 'seccomp.json');
  assert.is(await readSeccomp(CONTAINER_SPEC, path, SUBJECT), IO_URING_ONLY);
  assert.is(await readSeccomp({ ...CONTAINER_SPEC, seccomp: 'unconfined' }, path, SUBJECT), IO_URING_ONLY);
  const spec = { ...CONTAINER_SPEC, seccomp: 'default' as const };
  const error = await rejection(readSeccomp(spec, path, SUBJECT));
  assert.is(error.code, 'runtime_failed');
  assert.match(error.message, /^create container web: the guest's seccomp profile .*no such file/);
  writeFileSync(path, JSON.stringify(PROFILE));
  assert.equal(await readSeccomp(spec, path, SUBJECT), oci());
});

test.run();
