/**
 * What a container may ask of the kernel (OCI runtime specification, config-linux.md, seccomp). The profile
 * is the one that Docker, podman and CRI-O share, as Debian ships it; it names capabilities and architectures
 * by which a rule holds or not, and OCI does not know these.
 */
import { readFile } from 'node:fs/promises';
import type { ContainerSpec } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';

interface Conditions {
  arches?: string[];
  caps?: string[];
  minKernel?: string;
}
interface ProfileRule {
  names?: string[];
  name?: string;
  action: string;
  args?: { index: number; value: number; valueTwo?: number; op: string }[] | null;
  includes?: Conditions;
  excludes?: Conditions;
  errnoRet?: number;
}
export interface SeccompProfile {
  defaultAction: string;
  defaultErrnoRet?: number;
  archMap?: { architecture: string; subArchitectures: string[] }[];
  syscalls: ProfileRule[];
}
/** The container that the rules are for. */
export interface Subject {
  capabilities: readonly string[];
  /** As Node calls it. */
  arch: string;
  /** Release of the kernel. */
  kernel: string;
}

const ARCHITECTURES: Record<string, { seccomp: string; profile: string }> = {
  x64: { seccomp: 'SCMP_ARCH_X86_64', profile: 'amd64' },
  arm64: { seccomp: 'SCMP_ARCH_AARCH64', profile: 'arm64' },
};
const EPERM = 1;

/**
 * io_uring is refused: CRIU cannot dump a ring, and libuv opens some for epoll when it may (Node 24 does,
 * whatever UV_USE_IO_URING says) and goes on without when it may not.
 */
const IO_URING = ['io_uring_setup', 'io_uring_enter', 'io_uring_register'];
const REFUSE_IO_URING = { names: IO_URING, action: 'SCMP_ACT_ERRNO', errnoRet: EPERM };
export const IO_URING_ONLY = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [REFUSE_IO_URING] };

/** The profile as OCI has it for one container, and without io_uring. Pure. */
export function ociSeccomp(profile: SeccompProfile, subject: Subject): object {
  const known = ARCHITECTURES[subject.arch];
  const mapped = profile.archMap?.find(({ architecture }) => architecture === known?.seccomp);
  const rules = profile.syscalls.filter((rule) => holds(rule, subject, known?.profile)).map(ociRule);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    ...(mapped ? { architectures: [mapped.architecture, ...mapped.subArchitectures] } : {}),
    syscalls: [...rules.filter(({ names }) => names.length > 0), REFUSE_IO_URING],
  };
}

function ociRule({ names, name, action, args, errnoRet }: ProfileRule) {
  const all = names ?? (name === undefined ? [] : [name]);
  return {
    names: all.filter((syscall) => !IO_URING.includes(syscall)),
    action,
    ...(args && args.length > 0 ? { args } : {}),
    ...(errnoRet === undefined ? {} : { errnoRet }),
  };
}

function holds({ includes, excludes }: ProfileRule, subject: Subject, arch: string | undefined): boolean {
  const has = (capability: string) => subject.capabilities.includes(capability);
  if (excludes?.caps?.some(has)) return false;
  if (arch !== undefined && excludes?.arches?.includes(arch)) return false;
  if (includes?.caps && !includes.caps.every(has)) return false;
  if (includes?.minKernel && !isAtLeast(subject.kernel, includes.minKernel)) return false;
  return !includes?.arches?.length || (arch !== undefined && includes.arches.includes(arch));
}

function isAtLeast(release: string, least: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const [leastMajor = 0, leastMinor = 0] = least.split('.').map(Number);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}

/**
 * @param path of the profile
 * @throws {OffloadError} runtime_failed when the guest has no profile and the container is to have it
 */
export async function readSeccomp(spec: ContainerSpec, path: string, subject: Subject): Promise<object> {
  if (spec.seccomp !== 'default') return IO_URING_ONLY;
  try {
    return ociSeccomp(JSON.parse(await readFile(path, 'utf8')) as SeccompProfile, subject);
  } catch (error) {
    throw new OffloadError(
      'runtime_failed',
      `create container ${spec.id}: the guest's seccomp profile ${path}: ${(error as Error).message}`,
    );
  }
}
