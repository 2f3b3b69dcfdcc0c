/** A directory tree to an OCI image layout of one layer, by tar and umoci. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunTool } from '../../offload-plane/images/run-tool.ts';
import type { ImageRecipe } from './recipes.ts';

const TOOL_TIMEOUT_MS = 5 * 60_000;
/** Fixed, so that the same tree gives the same digest. */
const CREATED = '1970-01-01T00:00:00Z';

/** Writes `<directory>/<recipe name>` from `<directory>/<recipe name>.root`, with the recipe's name as its tag. */
export async function writeOciLayout(options: {
  recipe: ImageRecipe;
  directory: string;
  run: RunTool;
}): Promise<string> {
  const { recipe, directory, run } = options;
  const { name } = recipe;
  // Relative paths: umoci takes what follows a colon for a tag, also in the middle of a directory's name.
  const tool = (file: string, ...args: string[]) =>
    run(file, args, { cwd: directory, timeoutMs: TOOL_TIMEOUT_MS });
  const image = ['--image', `${name}:${name}`];
  await tool('tar', ...tarArgv(`${name}.root`, `${name}.layer`));
  await tool('umoci', 'init', '--layout', name);
  await tool('umoci', 'new', ...image);
  await tool('umoci', 'raw', 'add-layer', ...image, '--no-history', `${name}.layer`);
  await tool('umoci', 'config', ...image, '--no-history', ...configArgv(recipe));
  await tool('umoci', 'gc', '--layout', name);
  await rm(join(directory, `${name}.layer`));
  return join(directory, name);
}

function tarArgv(root: string, archive: string): string[] {
  const stable = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=posix'];
  return [
    ...stable,
    '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
    '-C',
    root,
    '-cf',
    archive,
    '.',
  ];
}

export function configArgv(recipe: ImageRecipe): string[] {
  return [
    ...(recipe.entrypoint ?? []).flatMap((argument) => ['--config.entrypoint', argument]),
    ...(recipe.command ?? []).flatMap((argument) => ['--config.cmd', argument]),
    ...recipe.env.flatMap((variable) => ['--config.env', variable]),
    ...['--config.workingdir', recipe.workingDir, '--config.exposedports', `${recipe.port}/tcp`],
    ...['--os', 'linux', '--architecture', 'amd64', '--created', CREATED],
  ];
}
