import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Type } from 'typebox';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDatabase } from '../../../offload-plane/state/database.ts';
import { openDocuments } from '../../../offload-plane/state/documents.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const Note = Type.Object({ text: Type.String() }, { additionalProperties: false });
const place = () => join(tempDirectory('state'), 'plane.db');

function refusal(path: string): OffloadError {
  try {
    openDatabase(path).close();
  } catch (error) {
    if (error instanceof OffloadError) return error;
    throw error;
  }
  throw new Error('it was opened');
}

function sqliteFile(path: string, sql: string): void {
  const file = new DatabaseSync(path);
  file.exec(sql);
  file.close();
}

test('nobody but its owner reads it', () => {
  const path = place();
  const database = openDatabase(path);
  openDocuments(database, 'note', Note).put('a', { text: 'one' });
  for (const file of [path, `${path}-wal`]) assert.is(statSync(file).mode & 0o777, 0o600, file);
  database.close();
  chmodSync(path, 0o644);
  openDatabase(path).close();
  assert.is(statSync(path).mode & 0o777, 0o600);
});

test('what was written is there when the database is opened again', () => {
  const path = place();
  const first = openDatabase(path);
  const notes = openDocuments(first, 'note', Note);
  notes.put('a', { text: 'one' });
  notes.put('a', { text: 'two' });
  notes.put('b', { text: 'three' });
  notes.delete('b');
  first.close();
  const again = openDatabase(path);
  assert.equal(openDocuments(again, 'note', Note).list(), [{ id: 'a', value: { text: 'two' } }]);
  assert.equal(openDocuments(again, 'other', Note).list(), [], 'kinds are apart');
  again.close();
});

test('a transaction that fails leaves nothing, and what waits for its commit does not run', () => {
  const database = openDatabase(place());
  const notes = openDocuments(database, 'note', Note);
  const ran: string[] = [];
  const work = (text: string, fails: boolean) =>
    database.transaction(() => {
      notes.put(text, { text });
      database.afterCommit(() => ran.push(text));
      database.transaction(() => notes.put(`${text} within`, { text }));
      assert.equal(ran, []);
      if (fails) throw new Error('no');
    });
  assert.throws(() => work('bad', true), 'no');
  assert.equal(notes.list(), []);
  work('good', false);
  assert.equal(
    notes.list().map(({ id }) => id),
    ['good', 'good within'],
  );
  assert.equal(ran, ['good']);
  database.afterCommit(() => ran.push('outside'));
  assert.equal(ran, ['good', 'outside']);
  database.close();
});

test('what a killed process had written is there, and what it had not committed is not', () => {
  const path = place();
  const script = `
    import { Type } from 'typebox';
    import { openDatabase } from '${join(import.meta.dirname, '../../../offload-plane/state/database.ts')}';
    import { openDocuments } from '${join(import.meta.dirname, '../../../offload-plane/state/documents.ts')}';
    const database = openDatabase('${path}');
    const notes = openDocuments(database, 'note', Type.Object({ text: Type.String() }));
    notes.put('kept', { text: 'x' });
    database.transaction(() => {
      notes.put('cut off', { text: 'x' });
      process.kill(process.pid, 'SIGKILL');
      for (;;);
    });`;
  assert.throws(() =>
    execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: join(import.meta.dirname, '../../..'),
      stdio: 'ignore',
    }),
  );
  const database = openDatabase(path);
  assert.equal(
    openDocuments(database, 'note', Note)
      .list()
      .map(({ id }) => id),
    ['kept'],
  );
  database.close();
});

test('a file that is no database, of another program, newer or damaged is refused by name and left as it is', () => {
  const cases: [name: string, make: (path: string) => void, reason: RegExp][] = [
    ['text', (path) => writeFileSync(path, 'notes of mine'.repeat(100)), /it is no SQLite database/],
    ['foreign', (path) => sqliteFile(path, 'CREATE TABLE t (a)'), /the database of another program/],
    [
      'newer',
      (path) => {
        openDatabase(path).close();
        sqliteFile(path, 'PRAGMA user_version = 99');
      },
      /it has version 99, this program knows versions up to \d+/,
    ],
    [
      'damaged',
      (path) => {
        const database = openDatabase(path);
        const notes = openDocuments(database, 'note', Note);
        for (let i = 0; i < 500; i += 1) notes.put(`note ${i}`, { text: 'x'.repeat(200) });
        database.close();
        const bytes = readFileSync(path);
        bytes.fill(0x5a, 8_192, 40_960);
        writeFileSync(path, bytes);
      },
      /malformed|damaged/,
    ],
  ];
  for (const [name, make, reason] of cases) {
    const path = place();
    make(path);
    const before = readFileSync(path);
    const error = refusal(path);
    assert.is(error.code, 'unusable_state', name);
    assert.match(error.message, reason);
    assert.ok(error.message.startsWith(`open database ${path}: `) && error.message.endsWith('left as it is'));
    assert.ok(readFileSync(path).equals(before), `${name}: unchanged`);
    assert.not(existsSync(`${path}-journal`));
  }
});

test('a record that does not fit its schema is refused with its name', () => {
  const path = place();
  const database = openDatabase(path);
  openDocuments(database, 'note', Type.Object({ words: Type.Integer() })).put('a', { words: 1 });
  const notes = openDocuments(database, 'note', Note);
  assert.throws(
    () => notes.list(),
    (error: OffloadError) =>
      error.code === 'unusable_state' && error.message.startsWith('read note a: the record does not fit'),
  );
  database.close();
});

test.run();
