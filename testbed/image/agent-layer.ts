/**
 * The agent layer: a small read-only erofs with our own programs, mounted at /opt/offload in the guest.
 *
 * Kept apart from the guest image so that a change of the agent costs a second and not half a minute. Its
 * programs are built on this machine with its own compiler: an older glibc than the guest's, never a newer.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { type RunProcess, runProcess } from '../../platform/processes.ts';
import type { Progress } from '../setup/cache.ts';
import { agentStartScript } from './agent-start.ts';

export interface AgentLayerOptions {
  cacheDirectory: string;
  /** The checkout. */
  projectDirectory: string;
  progress: Progress;
  /** Main file of a stand-in for the agent, which comes without the native parts. */
  entryPath?: string;
  run?: RunProcess;
}

export interface AgentLayer {
  imagePath: string;
  hash: string;
}

/** Built by `make` in these folders, and put beside the agent. */
const nativeParts = [
  { folder: 'guest-agent/native', files: ['build/vsock.node', 'build/offload-enter'] },
  { folder: 'guest-agent/pager', files: ['build/offload-pager', 'build/offload-memcheck'] },
];

/** Fastify and friends are CommonJS inside and call require() for Node's own modules. */
const requireBanner =
  "import { createRequire as createRequireOfBanner } from 'node:module';" +
  'const require = createRequireOfBanner(import.meta.url);';

/** Returns the image with the current agent, building what changed. */
export async function ensureAgentLayer(options: AgentLayerOptions): Promise<AgentLayer> {
  const run = options.run ?? runProcess;
  const parent = join(options.cacheDirectory, 'agent-layer');
  mkdirSync(parent, { recursive: true });
  const draft = join(parent, `draft-${process.pid}-${Date.now()}`);
  const tree = join(draft, 'tree');
  try {
    mkdirSync(tree, { recursive: true });
    await bundleAgent(options, join(tree, 'agent.mjs'));
    writeFileSync(join(tree, 'start'), agentStartScript, { mode: 0o755 });
    const natives = options.entryPath ? [] : await buildNativeParts(options.projectDirectory, run);
    for (const path of natives) {
      copyFileSync(path, join(tree, basename(path)));
      chmodSync(join(tree, basename(path)), 0o755);
    }
    const hash = treeHash(tree);
    const imagePath = join(parent, `${hash}.img`);
    if (!existsSync(imagePath)) {
      options.progress('agent layer: building');
      await run('mkfs.erofs', ['-T', '0', '--all-root', join(draft, 'image'), tree]);
      renameSync(join(draft, 'image'), imagePath);
    }
    return { imagePath, hash };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

async function bundleAgent(options: AgentLayerOptions, outfile: string): Promise<void> {
  await build({
    entryPoints: [options.entryPath ?? join(options.projectDirectory, 'guest-agent/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['*.node'],
    banner: { js: requireBanner },
    // Names stay, for stack traces; a source map would be memory in each guest.
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'silent',
  });
}

/** Runs each Makefile there is and returns what it has built. */
async function buildNativeParts(projectDirectory: string, run: RunProcess): Promise<string[]> {
  const built: string[] = [];
  for (const part of nativeParts) {
    const folder = join(projectDirectory, part.folder);
    if (!existsSync(join(folder, 'Makefile'))) continue;
    await run('make', ['-s', '-C', folder], { timeoutMs: 300_000 });
    built.push(...part.files.map((file) => join(folder, file)).filter((path) => existsSync(path)));
  }
  return built;
}

function treeHash(tree: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(tree).sort())
    hash.update(`${name}\0`).update(readFileSync(join(tree, name)));
  return hash.digest('hex').slice(0, 16);
}
