/**
 * The guests `origin` and `target`, and a plane with the demo's images: what most tests with guests want. The runner
 * boots them once for all such files, which take them one after the other; a file that is run by itself boots its own.
 */
import { createPlaneClient, type PlaneClient } from '../../offload-plane/client/index.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { WORKLOADS } from '../../testbed/workloads/workloads.ts';

export type TwoGuests = Pick<Testbed, 'plane' | 'planeSocket' | 'storeDirectory' | 'deadlineScale'> & {
  guests: readonly { name: string; vsockPath: string }[];
  /** To be called at the end: the next file finds neither containers nor anything of theirs. */
  stop(): Promise<void>;
};

const GUEST = { memoryMiB: 1_024, vcpus: 2 };
/** Where the runner's are, as JSON. */
const ENVIRONMENT = 'OFFLOAD_TEST_TWO_GUESTS';
const DEMO_IMAGES = Object.values(WORKLOADS).map(({ image }) => image as string);

export async function takeTwoGuests(): Promise<TwoGuests> {
  const text = process.env[ENVIRONMENT];
  if (text === undefined) return await bootTwoGuests();
  const places = JSON.parse(text) as Omit<TwoGuests, 'plane' | 'stop'>;
  const plane = createPlaneClient({ socketPath: places.planeSocket });
  const stop = async () => {
    await tidy(plane);
    await plane.close();
  };
  return { ...places, plane, stop };
}

export async function bootTwoGuests(): Promise<Testbed> {
  const guests = ['origin', 'target'].map((name) => ({ name, ...GUEST }));
  const testbed = await startTestbed({ guests, onProgress: () => {} });
  try {
    await testbed.importDemoImages(() => {});
    return testbed;
  } catch (error) {
    await testbed.stop();
    throw error;
  }
}

/** What a process has to be given so that it takes these. */
export function environmentOf({ planeSocket, storeDirectory, deadlineScale, guests }: Testbed) {
  const places = guests.map(({ name, vsockPath }) => ({ name, vsockPath }));
  return { [ENVIRONMENT]: JSON.stringify({ planeSocket, storeDirectory, deadlineScale, guests: places }) };
}

async function tidy(plane: PlaneClient): Promise<void> {
  for (const { name } of await plane.containers.list()) await plane.containers.remove(name, { force: true });
  for (const { name } of await plane.templates.list()) await plane.templates.remove(name);
  for (const { id } of await plane.checkpoints.list()) await plane.checkpoints.remove(id);
  for (const { name } of await plane.volumes.list()) await plane.volumes.remove(name);
  for (const { name } of await plane.images.list()) {
    if (!DEMO_IMAGES.includes(name.replace(/:latest$/, ''))) await plane.images.remove(name);
  }
  for (const { name, cordoned } of await plane.guests.list()) {
    if (cordoned) await plane.guests.uncordon(name);
  }
}
