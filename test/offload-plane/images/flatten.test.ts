/** Layers on top of each other, as the tools flatten them, compared with a model of the specification. */
import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openImageStore } from '../../../offload-plane/images/image-store.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { type Entry, makeLayout, makeTar } from './layout-fixture.ts';

const missing = ['umoci', 'mkfs.erofs', 'fsck.erofs'].filter((tool) => spawnSync(tool, ['--help']).error);
const reason =
  missing.length > 0 ? `not installed: ${missing.join(', ')}` : process.getuid?.() === 0 ? '' : 'needs root';

/** Path to what is there: a directory, a file's content, or where a link leads. */
type Tree = Map<string, string>;
type Change =
  | { kind: 'directory' | 'whiteout' | 'opaque'; path: string }
  | { kind: 'file' | 'link'; path: string; text: string };

const NAMES = ['a', 'b', 'c'];
const path = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
  .map((segments) => segments.join('/'));
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constantFrom('directory', 'whiteout', 'opaque'), path }),
  fc.record({ kind: fc.constantFrom('file', 'link'), path, text: fc.constantFrom('one', 'two') }),
) as fc.Arbitrary<Change>;
const layers = fc.array(fc.array(change, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 });

const isBelow = (path: string, directory: string) => path.startsWith(`${directory}/`);

/** A layer in which no path is both a directory and something else, and each is said once. */
function consistent(changes: readonly Change[]): Change[] {
  const kept: Change[] = [];
  for (const next of changes) {
    const clashes = kept.some(
      (before) =>
        before.path === next.path ||
        (isBelow(next.path, before.path) && before.kind !== 'directory' && before.kind !== 'opaque') ||
        (isBelow(before.path, next.path) && next.kind !== 'directory' && next.kind !== 'opaque'),
    );
    if (!clashes) kept.push(next);
  }
  return kept;
}

function entriesOf(changes: readonly Change[]): Entry[] {
  const entries: Entry[] = [];
  const directories = new Set<string>();
  const addParents = (path: string) => {
    const segments = path.split('/');
    for (let depth = 1; depth < segments.length; depth += 1) addDirectory(segments.slice(0, depth).join('/'));
  };
  const addDirectory = (path: string) => {
    if (!directories.has(path)) entries.push({ name: `${path}/` });
    directories.add(path);
  };
  for (const item of changes) {
    addParents(item.path);
    const [, parent = '', name = ''] = /^(.*\/)?([^/]+)$/.exec(item.path) ?? [];
    if (item.kind === 'directory' || item.kind === 'opaque') addDirectory(item.path);
    if (item.kind === 'opaque') entries.push({ name: `${item.path}/.wh..wh..opq`, content: '' });
    if (item.kind === 'whiteout') entries.push({ name: `${parent}.wh.${name}`, content: '' });
    if (item.kind === 'file') entries.push({ name: item.path, content: item.text });
    if (item.kind === 'link') {
      entries.push({ name: item.path, type: 'symlink', linkname: item.text, content: '' });
    }
  }
  return entries;
}

/** What a layer takes away is of the layers below it; then comes what it adds. */
function apply(tree: Tree, changes: readonly Change[]): void {
  const removeBelow = (directory: string) => {
    for (const path of [...tree.keys()]) if (isBelow(path, directory)) tree.delete(path);
  };
  for (const { kind, path } of changes) {
    if (kind === 'whiteout') tree.delete(path);
    if (kind === 'whiteout' || kind === 'opaque') removeBelow(path);
  }
  for (const item of changes) {
    const segments = item.path.split('/');
    for (let depth = 1; depth < segments.length; depth += 1)
      put(segments.slice(0, depth).join('/'), 'directory');
    if (item.kind === 'directory' || item.kind === 'opaque') put(item.path, 'directory');
    if (item.kind === 'file') put(item.path, `file ${item.text}`);
    if (item.kind === 'link') put(item.path, `link ${item.text}`);
  }

  function put(path: string, what: string): void {
    if (what !== 'directory') removeBelow(path);
    tree.set(path, what);
  }
}

function read(root: string, below = ''): [string, string][] {
  return readdirSync(join(root, below)).flatMap((name): [string, string][] => {
    const path = below === '' ? name : `${below}/${name}`;
    const stats = lstatSync(join(root, path));
    if (stats.isDirectory()) return [[path, 'directory'], ...read(root, path)];
    if (stats.isSymbolicLink()) return [[path, `link ${readlinkSync(join(root, path))}`]];
    return [[path, `file ${readFileSync(join(root, path), 'utf8')}`]];
  });
}

async function flattened(layers: readonly Change[][]): Promise<[string, string][]> {
  const directory = tempDirectory('flatten');
  const store = await openImageStore({ directory: join(directory, 'store') });
  try {
    const tars = await Promise.all(layers.map((changes) => makeTar(entriesOf(changes))));
    const { root } = await makeLayout(join(directory, 'layout'), { layerTars: tars, config: {} });
    const { rootfsPath } = await store.import({ path: root, name: 'x' });
    const out = join(directory, 'out');
    execFileSync('fsck.erofs', [`--extract=${out}`, rootfsPath], { stdio: 'ignore' });
    return read(out).sort();
  } finally {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

if (reason !== '') console.log(`skipped: layers on top of each other: ${reason}`);
else {
  test('a whiteout takes away what lower layers have, an opaque directory all that is in it', async () => {
    const tree = await flattened([
      [
        { kind: 'file', path: 'a/b', text: 'one' },
        { kind: 'file', path: 'a/c', text: 'one' },
        { kind: 'file', path: 'b/a', text: 'one' },
      ],
      [
        { kind: 'whiteout', path: 'a/b' },
        { kind: 'opaque', path: 'b' },
        { kind: 'file', path: 'b/c', text: 'two' },
      ],
    ]);
    assert.equal(tree, [
      ['a', 'directory'],
      ['a/c', 'file one'],
      ['b', 'directory'],
      ['b/c', 'file two'],
    ]);
  });

  test('whatever layers add, replace and take away, the image is what the specification says', async () => {
    await fc.assert(
      fc.asyncProperty(layers, async (generated) => {
        const consistentLayers = generated.map(consistent);
        const tree: Tree = new Map();
        for (const changes of consistentLayers) apply(tree, changes);
        assert.equal(await flattened(consistentLayers), [...tree].sort());
      }),
      { numRuns: 15 },
    );
  });
}

test.run();
