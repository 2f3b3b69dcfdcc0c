/** Where the bench works: a directory on the device, a plane process with its store in it, and checkpoints. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { scratchDirectory, startWorkload } from '../../testbed/native/checkpoint.ts';
import { evict, readIn } from '../../testbed/native/page-cache.ts';
import { type NativePlane, startNativePlane } from '../../testbed/native/plane.ts';
import { buildBenchPrograms } from '../../testbed/native/programs.ts';
import type { NativeCheckpoint, NativePlaneAccess } from '../../testbed/native/restore.ts';
import type { NativeWorkload } from '../../testbed/native/workload.ts';
import type { Temperature } from './report.ts';

export interface DumpTime {
  into: 'store' | 'directory';
  frozenMs: number;
}

export interface Site {
  readonly plane: NativePlane;
  /** Straight to the plane, without a shaper. */
  readonly access: NativePlaneAccess;
  /** Dumps it `dumpCount` times each way, in turns; the last dumps are kept as the checkpoint. */
  checkpoint(
    workload: NativeWorkload,
    dumpCount?: number,
  ): Promise<{ made: NativeCheckpoint; dumps: DumpTime[] }>;
  /** Files of a checkpoint out of the page cache, or into it. */
  prepare(checkpoint: NativeCheckpoint, temperature: Temperature): Promise<void>;
  forget(checkpoint: NativeCheckpoint): void;
  close(): Promise<void>;
}

export interface SiteOptions {
  /** On the device to be measured. Default: below the cache directory. */
  deviceDirectory?: string | undefined;
}

const cacheRoot = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');

export async function openSite(options: SiteOptions): Promise<Site> {
  await buildBenchPrograms();
  const parent = options.deviceDirectory ?? join(cacheRoot, 'offload-plane');
  mkdirSync(parent, { recursive: true });
  const device = mkdtempSync(join(parent, 'bench-'));
  const scratch = scratchDirectory();
  const removeAll = () => {
    for (const path of [device, scratch]) rmSync(path, { recursive: true, force: true });
  };
  process.once('exit', removeAll);
  const imagesRoot = join(device, 'images');
  const storeDirectory = join(device, 'store');
  mkdirSync(imagesRoot);
  const pagerSocket = join(scratch, 'plane.sock');
  const plane = await startNativePlane({ storeDirectory, pagerSocket });
  const filesOf = (checkpoint: NativeCheckpoint) => [
    checkpoint.images,
    checkpoint.stockImages,
    join(storeDirectory, 'checkpoints', checkpoint.id),
  ];

  async function dumpOnce(
    running: Awaited<ReturnType<typeof startWorkload>>,
    id: string,
  ): Promise<{ images: string; dumps: DumpTime[] }> {
    const local = await running.dumpTo(id);
    const stored = await running.dumpInto(plane, id);
    const dumps: DumpTime[] = [
      { into: 'directory', frozenMs: local.frozenMs },
      { into: 'store', frozenMs: stored.frozenMs },
    ];
    return { images: local.images, dumps };
  }

  return {
    plane,
    access: { plane, pagerSocket, portOf: async (port) => port },
    async checkpoint(workload, dumpCount = 1) {
      const running = await startWorkload(workload, imagesRoot);
      try {
        const dumps: DumpTime[] = [];
        for (let i = 1; i < dumpCount; i++) {
          const id = `${workload.name}-${i}`;
          const once = await dumpOnce(running, id);
          dumps.push(...once.dumps);
          rmSync(once.images, { recursive: true });
          await plane.call('removeCheckpoint', { checkpoint: id });
        }
        const last = await dumpOnce(running, workload.name);
        const stockImages = `${last.images}-stock`;
        await plane.call('writeStockImages', { checkpoint: workload.name, directory: stockImages });
        const made = { workload, images: last.images, stockImages, id: workload.name };
        return { made, dumps: [...dumps, ...last.dumps] };
      } finally {
        await running.stop();
      }
    },
    async prepare(checkpoint, temperature) {
      for (const path of filesOf(checkpoint)) await (temperature === 'cold' ? evict(path) : readIn(path));
    },
    forget(checkpoint) {
      for (const path of filesOf(checkpoint)) rmSync(path, { recursive: true, force: true });
    },
    async close() {
      await plane.close();
      process.off('exit', removeAll);
      removeAll();
    },
  };
}
