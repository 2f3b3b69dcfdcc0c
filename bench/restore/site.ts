/** Where the bench works: a directory on the device, a plane process with its store in it, and checkpoints. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { scratchDirectory, startWorkload } from '../../testbed/native/checkpoint.ts';
import { evict, readIn } from '../../testbed/native/page-cache.ts';
import { type NativePlane, startNativePlane } from '../../testbed/native/plane.ts';
import { buildBenchPrograms, buildPagerOf, PAGER } from '../../testbed/native/programs.ts';
import { removeOnExit } from '../../testbed/native/remove-on-exit.ts';
import type { NativeCheckpoint, NativePlaneAccess, RestoreWay } from '../../testbed/native/restore.ts';
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
  /** The files that such a restore reads go out of the page cache, or into it. */
  prepare(checkpoint: NativeCheckpoint, way: RestoreWay, temperature: Temperature): Promise<void>;
  forget(checkpoint: NativeCheckpoint): void;
  close(): Promise<void>;
}

export interface SiteOptions {
  /** On the device to be measured. Default: below the cache directory. */
  deviceDirectory?: string | undefined;
  /** Another source tree whose plane and pager are measured. Default: this one. */
  sources?: string;
}

const cacheRoot = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');

export async function openSite(options: SiteOptions): Promise<Site> {
  await buildBenchPrograms();
  const { sources } = options;
  const pager = sources === undefined ? PAGER : await buildPagerOf(sources);
  const parent = options.deviceDirectory ?? join(cacheRoot, 'offload-plane');
  mkdirSync(parent, { recursive: true });
  const device = mkdtempSync(join(parent, 'bench-'));
  const scratch = scratchDirectory();
  const removeAll = removeOnExit(device, scratch);
  const imagesRoot = join(device, 'images');
  const storeDirectory = join(device, 'store');
  mkdirSync(imagesRoot);
  const pagerSocket = join(scratch, 'plane.sock');
  const plane = await startNativePlane({ storeDirectory, pagerSocket, ...(sources ? { sources } : {}) });
  /** Wholly in the page cache, and nothing has evicted them since. */
  const warm = new Set<string>();
  const filesOf = ({ images, stockImages, id, state }: NativeCheckpoint) => ({
    images,
    stockImages,
    ...(state === undefined ? {} : { state }),
    stored: join(storeDirectory, 'checkpoints', id),
  });

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
    access: { plane, pager, pagerSocket, portOf: async (port) => port },
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
        const state = workload.hasState ? { state: `${last.images}-state` } : {};
        if (state.state !== undefined) await running.stopAndKeepState(state.state);
        const made = { workload, images: last.images, stockImages, id: workload.name, ...state };
        return { made, dumps: [...dumps, ...last.dumps] };
      } finally {
        await running.stop();
      }
    },
    async prepare(checkpoint, way, temperature) {
      const isLocal = way.kind === 'stock' && way.how !== 'lazy-remote';
      const { images, stored } = filesOf(checkpoint);
      const path = isLocal ? images : stored;
      if (temperature === 'cold') await Promise.all([evict(path), plane.call('trim', {})]);
      else if (!warm.has(path)) await readIn(path);
      if (temperature === 'cold') warm.delete(path);
      else warm.add(path);
    },
    forget(checkpoint) {
      for (const path of Object.values(filesOf(checkpoint))) rmSync(path, { recursive: true, force: true });
    },
    async close() {
      await plane.close();
      removeAll();
    },
  };
}
