/** Makes a plane's guests those that run: it may remember others from before. */
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { PlaneClient } from '../../offload-plane/client/index.ts';
import { pollUntil } from '../../platform/deadline.ts';
import type { Guest } from '../qemu/guest.ts';
import { registrationOf } from '../testbed.ts';

const READY_TIMEOUT_MS = 120_000;

/** @param linkPath stands for the guests' directory, so that a plane finds them there in the next run */
export async function syncGuests(
  plane: PlaneClient['guests'],
  guests: readonly Guest[],
  linkPath: string,
): Promise<void> {
  const wanted = guests.map((guest) => {
    const registration = registrationOf(guest);
    const behindLink = (path: string) => join(linkPath, basename(path));
    const { vsockPath, qmpPath } = registration;
    return { ...registration, vsockPath: behindLink(vsockPath), qmpPath: behindLink(qmpPath) };
  });
  const known = await plane.list();
  for (const guest of known) {
    const same = wanted.find(({ name }) => name === guest.name);
    const isSame =
      same &&
      Object.entries(same).every(([key, value]) =>
        isDeepStrictEqual(guest[key as keyof typeof guest], value),
      );
    if (!isSame) await plane.remove(guest.name);
  }
  const left = new Set((await plane.list()).map(({ name }) => name));
  await Promise.all(wanted.filter(({ name }) => !left.has(name)).map((guest) => plane.register(guest)));
  await Promise.all(
    wanted.map(({ name }) =>
      pollUntil(async () => ((await plane.inspect(name)).phase === 'ready' ? true : undefined), {
        timeoutMs: READY_TIMEOUT_MS,
        intervalMs: 100,
        what: `up: wait until the plane reaches ${name}`,
      }),
    ),
  );
}
