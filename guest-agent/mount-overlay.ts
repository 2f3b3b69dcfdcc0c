/** Overlays, mounted by the agent itself: no program is started for them. */
import { OffloadError } from '../platform/errors.ts';
import { addon } from './descriptors.ts';

/** @throws {OffloadError} runtime_failed */
export function mountOverlay(layers: string, target: string): void {
  try {
    addon.mount('overlay', target, 'overlay', layers);
  } catch (error) {
    throw new OffloadError('runtime_failed', `mount overlay at ${target}: ${(error as Error).message}`);
  }
}
