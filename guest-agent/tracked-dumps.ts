/**
 * What the next dump of a container may build on. The kernel notes which pages were written to since one
 * dump, the last; so there is one such dump a container at most, and every dump that is tracked ends it.
 * The plane has its pages. CRIU needs its inventory again, which tells a task from a later one of the same
 * pid, so that image is kept.
 */
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OffloadError } from '../platform/errors.ts';
import type { Containers } from './containers.ts';
import type { Container } from './life.ts';
import type { Programs } from './programs.ts';
import type { ContainerRecord } from './records.ts';

export interface TrackedDump {
  token: string;
  /** As they were at the dump. */
  programs: Programs;
}

const INVENTORY = 'inventory.img';

/** @throws {OffloadError} invalid_state when `parent` is not the dump that changes are tracked since */
export function expectTracked(container: Container, parent: string | undefined): void {
  if (parent === undefined || container.trackedDump?.token === parent) return;
  throw new OffloadError(
    'invalid_state',
    `checkpoint container ${container.spec.id}: its changes are not tracked since the dump it is to build on`,
  );
}

/** From here on nothing may build on a dump of this container. */
export async function forgetTracked(containers: Containers, container: Container): Promise<void> {
  container.trackedDump = undefined;
  containers.save(container);
  await rm(containers.paths(container.spec.id).parentImages, { recursive: true, force: true });
}

/** The dump whose images lie in the container's dump directory is the one to build on. */
export async function keepTracked(
  containers: Containers,
  container: Container,
  dump: TrackedDump,
): Promise<void> {
  const own = containers.paths(container.spec.id);
  await mkdir(own.parentImages, { recursive: true });
  await copyFile(join(own.dumpImages, INVENTORY), join(own.parentImages, INVENTORY));
  container.trackedDump = dump;
  containers.save(container);
}

type RecordedDump = NonNullable<ContainerRecord['trackedDump']>;

/** As a record has it: addresses in hexadecimal. */
export function recordedDump({ token, programs }: TrackedDump): RecordedDump {
  return { token, programs: [...programs].map(([pid, vdso]) => [pid, vdso.toString(16)]) };
}

export function dumpOfRecord({ token, programs }: RecordedDump): TrackedDump {
  return { token, programs: new Map(programs.map(([pid, vdso]) => [pid, BigInt(`0x${vdso}`)])) };
}
