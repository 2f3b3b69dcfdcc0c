/** The real demo images, or the reason why this machine cannot have them. */
import { spawnSync } from 'node:child_process';
import { buildDemoImages, type DemoImages } from '../../../testbed/images/build-demo-images.ts';

export function cannotBuildReason(): string {
  if (process.getuid?.() !== 0) return 'needs root';
  const tools = ['mmdebstrap', 'umoci', 'mkfs.erofs', 'fsck.erofs'];
  const missing = tools.filter((tool) => spawnSync(tool, ['--help']).error);
  return missing.length > 0 ? `not installed: ${missing.join(', ')}` : '';
}

export async function demoImages(): Promise<DemoImages> {
  return await buildDemoImages();
}
