import { globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = join(import.meta.dirname, '..');
/** As docs/architecture.md has it; every folder may import from itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  interconnect: ['platform'],
  'offload-plane': ['interconnect', 'platform'],
  'guest-agent': ['interconnect', 'platform'],
  testbed: ['offload-plane', 'guest-agent', 'interconnect', 'platform'],
  'testbed/cli': ['offload-plane', 'guest-agent', 'interconnect', 'platform', 'testbed', 'bench', 'test'],
};

/** What a file imports of ours, from the root on. */
function importsOf(file: string): string[] {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const found = source.matchAll(/(?:\bfrom|^import|\bimport\()\s*'(\.[^']+)'/gm);
  return [...found].map(([, path]) => relative(ROOT, join(ROOT, dirname(file), path!)));
}

test('a folder imports from those beneath it: plane and agent never from each other', () => {
  const wrong: string[] = [];
  let importCount = 0;
  for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
    const isOfAnother = (file: string) => folder === 'testbed' && file.startsWith('testbed/cli/');
    for (const file of globSync(`${folder}/**/*.{ts,tsx,mts,mjs}`, { cwd: ROOT })) {
      if (isOfAnother(file)) continue;
      for (const path of importsOf(file)) {
        importCount += 1;
        const from = path.split(sep)[0]!;
        if (from !== folder && !allowed.includes(from)) wrong.push(`${file} imports ${path}`);
      }
    }
  }
  assert.equal(wrong, []);
  assert.ok(importCount > 1_000, `${importCount} imports`);
});

test('each folder of plane, agent and testbed is told in the architecture', () => {
  const told = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const tables = told.slice(told.indexOf('## Folders'), told.indexOf('## Control'));
  for (const parent of ['offload-plane', 'guest-agent', 'testbed']) {
    const table = tables.slice(tables.indexOf(`folder of \`${parent}\``)).split('\n\n')[0]!;
    const folders = readdirSync(join(ROOT, parent), { withFileTypes: true }).filter((one) =>
      one.isDirectory(),
    );
    for (const { name } of folders) assert.ok(table.includes(`\`${name}\``), `${parent}/${name}`);
  }
});

test.run();
