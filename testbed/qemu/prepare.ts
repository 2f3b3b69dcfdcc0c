/**
 * All that has to be there before the first guest boots: tools, image, agent layer, accelerator, a clean
 * slate. What is cached costs next to nothing.
 */
import { join } from 'node:path';
import { ensureAgentLayer } from '../image/agent-layer.ts';
import { ensureGuestImage, type GuestImage } from '../image/build.ts';
import { cacheDirectory, type Progress } from '../setup/cache.ts';
import { ensureTestbedTools, type TestbedTools } from '../setup/tools.ts';
import { type AcceleratorVerdict, chooseAccelerator } from './accelerator.ts';
import type { Accelerator } from './argv.ts';
import type { GuestDeps } from './guest.ts';
import { createRunDirectory, type RunDirectory, sweepStaleRuns } from './run-directory.ts';

export interface PrepareOptions {
  progress: Progress;
  accelerator?: Accelerator;
  /** The agent's main file, for tests with a stand-in. */
  agentEntryPath?: string;
}

export interface PreparedTestbed {
  tools: TestbedTools;
  image: GuestImage;
  verdict: AcceleratorVerdict;
  run: RunDirectory;
  /** What `startGuest` takes beside a guest's own options. */
  guestDeps: GuestDeps;
}

export const projectDirectory = join(import.meta.dirname, '../..');

/** The tools and the guest image alone: what tests with a real CRIU but without a guest need. */
export async function prepareImage(progress: Progress): Promise<{ tools: TestbedTools; image: GuestImage }> {
  const cache = { cacheDirectory: cacheDirectory(), progress };
  const tools = await ensureTestbedTools(cache);
  const node = { nodePath: process.execPath, nodeVersion: process.version };
  return { tools, image: await ensureGuestImage({ ...cache, ...node }) };
}

/** Prepares a run. The caller removes `run` at the end; `removeOnEndSignals` does so on Ctrl-C. */
export async function prepareTestbed(options: PrepareOptions): Promise<PreparedTestbed> {
  const { progress } = options;
  const cache = cacheDirectory();
  const directories = { scratchDirectory: join(cache, 'scratch') };
  await sweepStaleRuns(directories);
  const { tools, image } = await prepareImage(progress);
  const entry = options.agentEntryPath ? { entryPath: options.agentEntryPath } : {};
  const layer = await ensureAgentLayer({ cacheDirectory: cache, projectDirectory, progress, ...entry });
  const run = createRunDirectory(directories);
  try {
    const { qemuPath, qemuVersion, vhostDeviceVsockPath } = tools;
    const { kernelPath, rootImagePath } = image;
    const override = options.accelerator ? { override: options.accelerator } : {};
    const files = { cacheDirectory: cache, run, progress, qemuPath, qemuVersion, kernelPath, rootImagePath };
    const verdict = await chooseAccelerator({ ...files, ...override });
    const { accelerator, deadlineScale } = verdict;
    const programs = { run, qemuPath, vhostDeviceVsockPath, progress };
    const agentLayerPath = layer.imagePath;
    const guestDeps = { ...programs, kernelPath, rootImagePath, agentLayerPath, accelerator, deadlineScale };
    return { tools, image, verdict, run, guestDeps };
  } catch (error) {
    await run.remove();
    throw error;
  }
}

/** On Ctrl-C and its kin: cleans up, then ends this process. Returns what takes the handlers away again. */
export function removeOnEndSignals(cleanUp: () => Promise<void>): () => void {
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
  const handlers = Object.entries(codes).map(([signal, code]) => {
    const handler = () => {
      process.stderr.write(`offload: ${signal}: ending guests and cleaning up\n`);
      void cleanUp().finally(() => process.exit(code));
    };
    process.once(signal, handler);
    return () => process.off(signal, handler);
  });
  return () => {
    for (const off of handlers) off();
  };
}
