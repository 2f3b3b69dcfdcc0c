import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = join(import.meta.dirname, '..');
/** `[name](path)`, and after a colon the titles of what is meant there, each `*a title…*`. */
const PROOF = /\[[^\]]+\]\(([^)#]+)[^)]*\)((?:: \*[^*]+\*(?:, \*[^*]+\*)*)?)/g;

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const rows = read('SPECIFICATION.md')
  .split('\n')
  .filter((line) => /^\| [A-Z]+\d+ \|/.test(line));

/** As titles are compared: what is put into a template is left out, as is the way quotes are written. */
const plain = (text: string) =>
  text
    .replaceAll(/\$\{[^}]*\}/g, '…')
    .replaceAll(/\\(?=['’])|[`*]/g, '')
    .replaceAll('’', "'")
    .toLowerCase();

test('each promise of the specification names a test that is there, by its title, or says not yet', () => {
  const wrong: string[] = [];
  let titleCount = 0;
  for (const row of rows) {
    const id = row.split('|')[1]!.trim();
    const proofs = [...row.matchAll(PROOF)].filter(([, path]) => path!.startsWith('test/'));
    if (proofs.length === 0 && !/\*\*not yet\*\*|[A-Z]\d+ to [A-Z]\d+/.test(row))
      wrong.push(`${id}: no test`);
    for (const [, path, titles] of proofs) {
      if (!existsSync(join(ROOT, path!))) {
        wrong.push(`${id}: no ${path}`);
        continue;
      }
      const source = plain(read(path!));
      for (const [, title] of titles!.matchAll(/\*([^*]+)\*/g)) {
        titleCount += 1;
        const parts = plain(title!).split('…');
        if (!parts.every((part) => source.includes(part.trim()))) wrong.push(`${id}: ${path}: ${title}`);
      }
    }
  }
  assert.equal(wrong, []);
  assert.ok(rows.length > 150 && titleCount > 150, `${rows.length} rows, ${titleCount} titles`);
});

test('no promise has the number of another', () => {
  const ids = rows.map((row) => row.split('|')[1]!.trim());
  assert.equal(
    ids.filter((id, index) => ids.indexOf(id) !== index),
    [],
  );
});

test.run();
