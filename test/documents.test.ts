import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = join(import.meta.dirname, '..');
const DOCUMENTS = ['README.md', 'SPECIFICATION.md', ...globSync('docs/*.md', { cwd: ROOT })];
const SOURCES = globSync('**/*.{ts,tsx,c,h,sh,md}', { cwd: ROOT, exclude: ['node_modules'] }).map(
  (path) => `/${path}`,
);
const FOLDERS = [
  'bench',
  'docs',
  'guest-agent',
  'interconnect',
  'offload-plane',
  'platform',
  'test',
  'testbed',
];
const FOLDER_PATH = new RegExp(`^(${FOLDERS.join('|')})/[\\w./*-]*$`);
const SOURCE_NAME = /^[\w./-]+\.(ts|tsx|c|h|sh|md)$/;

const textOf = (document: string) => readFileSync(join(ROOT, document), 'utf8');

test('what a document links to is there', () => {
  const wrong: string[] = [];
  let linkCount = 0;
  for (const document of DOCUMENTS) {
    for (const [, target] of textOf(document).matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)) {
      linkCount += 1;
      if (!existsSync(join(ROOT, dirname(document), target!))) wrong.push(`${document}: ${target}`);
    }
  }
  assert.equal(wrong, []);
  assert.ok(linkCount > 300, `${linkCount} links`);
});

test('the files and folders that a document names are there', () => {
  const wrong: string[] = [];
  let nameCount = 0;
  for (const document of DOCUMENTS) {
    for (const [, name] of textOf(document).matchAll(/`([^`\s]+)`/g)) {
      const isFolder = FOLDER_PATH.test(name!);
      if (!isFolder && !SOURCE_NAME.test(name!)) continue;
      nameCount += 1;
      const found = isFolder
        ? globSync(name!, { cwd: ROOT }).length > 0
        : SOURCES.some((path) => path.endsWith(`/${name}`));
      if (!found) wrong.push(`${document}: ${name}`);
    }
  }
  assert.equal(wrong, []);
  assert.ok(nameCount > 60, `${nameCount} names`);
});

test.run();
