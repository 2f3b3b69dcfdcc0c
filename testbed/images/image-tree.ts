/** Lays out an image's root filesystem from a recipe. */
import { chmod, copyFile, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { RunTool } from '../../offload-plane/images/run-tool.ts';
import { OffloadError } from '../../platform/errors.ts';
import { libraryClosure } from './library-closure.ts';
import type { ImageRecipe } from './recipes.ts';

export async function layOutTree(options: {
  recipe: ImageRecipe;
  /** The Debian tree that programs and libraries are taken from. */
  debian: string;
  /** An empty directory of ours. */
  root: string;
  run: RunTool;
}): Promise<void> {
  const { recipe, debian, root, run } = options;
  for (const { path, mode } of recipe.directories) {
    await mkdir(join(root, path), { recursive: true });
    await chmod(join(root, path), mode);
  }
  const fromDebian = new Set(recipe.programs);
  const linked = [
    ...recipe.programs.map((program) => join(debian, program)),
    ...recipe.files.filter((file) => file.libraries).map((file) => file.source),
  ];
  for (const program of linked) {
    if (!(await isDynamic(program))) continue;
    for (const library of await libraryClosure(debian, program, run)) fromDebian.add(library);
  }
  for (const path of fromDebian) await place(await insideTree(debian, path), join(root, path), 0o755);
  for (const { target, source, mode } of recipe.files) await place(source, join(root, target), mode);
  for (const { target, text } of recipe.texts) {
    await mkdir(dirname(join(root, target)), { recursive: true });
    await writeFile(join(root, target), text, { mode: 0o644 });
  }
  for (const [path, target] of Object.entries(recipe.links)) await symlink(target, join(root, path));
}

/** Links of the tree are followed, as long as they stay in it: the image gets the file under the name asked for. */
async function insideTree(tree: string, path: string): Promise<string> {
  const [realTree, real] = await Promise.all([realpath(tree), realpath(join(tree, path))]);
  if (relative(realTree, real).split(sep)[0] !== '..') return real;
  throw new OffloadError('runtime_failed', `build demo image: ${path} leads out of the Debian tree`);
}

async function place(source: string, target: string, mode: number): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await copyFile(source, target);
  await chmod(target, mode);
}

/** A static program (busybox) has no interpreter, and the loader refuses to list it. */
async function isDynamic(program: string): Promise<boolean> {
  const head = (await readFile(program)).subarray(0, 4096);
  return head.includes('ld-linux-x86-64.so.2');
}
