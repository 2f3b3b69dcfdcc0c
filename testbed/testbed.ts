/** A whole testbed: guests, and a plane in a process of its own that manages them. */
import { join } from 'node:path';
import type { PlaneClient } from '../offload-plane/client/index.ts';
import type { RunningProcess } from '../platform/processes.ts';
import { buildDemoImages } from './images/build-demo-images.ts';
import { startPlaneProcess } from './plane-process.ts';
import type { Accelerator } from './qemu/argv.ts';
import { type Guest, type GuestOptions, startGuest } from './qemu/guest.ts';
import { type PreparedTestbed, prepareTestbed, removeOnEndSignals } from './qemu/prepare.ts';

export interface TestbedOptions {
  guests: readonly Omit<GuestOptions, 'cid'>[];
  accelerator?: Accelerator;
  /** Stands for the plane's NVMe device; a temporary directory on disk unless given. */
  storeDirectory?: string;
  /** More flags for the plane. */
  planeArgs?: readonly string[];
  onProgress: (text: string) => void;
}

export interface Testbed {
  plane: PlaneClient;
  guests: readonly Guest[];
  deadlineScale: number;
  qemuVersion: string;
  planeSocket: string;
  storeDirectory: string;
  planeLogPath: string;
  planeProcess: RunningProcess;
  /** Builds the demo's images where they are not cached, and imports them into the plane. */
  importDemoImages(onProgress: (text: string) => void): Promise<void>;
  stop(): Promise<void>;
}

/** The first context identifiers are taken: 0 hypervisor, 1 loopback, 2 host (vsock(7)). */
const FIRST_CID = 3;

export async function startTestbed(options: TestbedOptions): Promise<Testbed> {
  const prepared = await prepareTestbed({
    progress: options.onProgress,
    ...(options.accelerator ? { accelerator: options.accelerator } : {}),
  });
  const { run, verdict, tools } = prepared;
  const guests: Guest[] = [];
  const stop = async () => {
    forgetSignals();
    await Promise.allSettled(guests.map((guest) => guest.stop()));
    await run.remove();
  };
  const forgetSignals = removeOnEndSignals(stop);
  try {
    const names = options.guests.map((guest) => guest.name).join(', ');
    options.onProgress(`booting ${names} with ${verdict.accelerator}`);
    const [started] = await Promise.all([
      startPlane(prepared, options),
      bootGuests(prepared, options, guests),
    ]);
    const { client, process: planeProcess, socketPath, logPath, storeDirectory } = started;
    options.onProgress('registering guests with the plane');
    await Promise.all(guests.map((guest) => client.guests.register(registrationOf(guest))));
    return {
      plane: client,
      guests,
      deadlineScale: verdict.deadlineScale,
      qemuVersion: tools.qemuVersion,
      planeSocket: socketPath,
      storeDirectory,
      planeLogPath: logPath,
      planeProcess,
      async importDemoImages(onProgress) {
        const layouts = await buildDemoImages({ onProgress: ({ message }) => onProgress(message) });
        for (const [name, path] of Object.entries(layouts)) {
          onProgress(`importing ${name}`);
          await client.images.import({ path, name });
        }
      },
      async stop() {
        await client.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** At once; those that came up are in `guests` even when another failed. */
export async function bootGuests(
  prepared: PreparedTestbed,
  options: Pick<TestbedOptions, 'guests'>,
  guests: Guest[],
): Promise<void> {
  const boots = options.guests.map(async (guest, index) => {
    guests[index] = await startGuest({ ...guest, cid: FIRST_CID + index }, prepared.guestDeps);
  });
  const failed = (await Promise.allSettled(boots)).find((boot) => boot.status === 'rejected');
  if (!failed) return;
  // Indices of guests that did not come up are holes.
  guests.splice(0, guests.length, ...guests.filter(Boolean));
  throw failed.reason;
}

/** What the plane is told of a guest. */
export function registrationOf(guest: Guest) {
  const { name, vsockPath, planeQmpPath, accelerator, memoryMiB, vcpus } = guest;
  return { name, vsockPath, qmpPath: planeQmpPath, accelerator, memoryMiB, vcpus };
}

async function startPlane({ run }: PreparedTestbed, options: TestbedOptions) {
  const socketPath = run.file('plane.sock');
  const logPath = run.file('plane.log');
  const storeDirectory = options.storeDirectory ?? join(run.scratchPath, 'store');
  const args = options.planeArgs ?? [];
  const started = await startPlaneProcess({ run, socketPath, storeDirectory, logPath, args });
  return { ...started, socketPath, logPath, storeDirectory };
}
