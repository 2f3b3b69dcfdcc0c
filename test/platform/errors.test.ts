import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ERROR_STATUS, OffloadError, toOffloadError } from '../../platform/errors.ts';

/** The rows of the table whose first cell is a code in backticks: code and HTTP status. */
function documented(): [string, number][] {
  const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  return [...text.matchAll(/^\|\s*`([a-z_]+)`\s*\|\s*`?(\d{3})\b/gm)].map(([, code, status]) => [
    String(code),
    Number(status),
  ]);
}

test('docs/errors.md has one row for every error code, with its HTTP status', () => {
  const rows = documented();
  assert.is(new Set(rows.map(([code]) => code)).size, rows.length, 'no code has two rows');
  assert.equal(Object.fromEntries(rows), { ...ERROR_STATUS });
});

test('every error code has a status of a failure', () => {
  for (const [code, status] of Object.entries(ERROR_STATUS)) {
    assert.ok(status >= 400 && status < 600, code);
    assert.is(new OffloadError(code as keyof typeof ERROR_STATUS, 'x').status, status);
  }
});

test('a message is one line, whatever it was made from', () => {
  assert.is(new OffloadError('internal', ' run x:\n  oh\r\n\n no \n').message, 'run x: oh no');
});

test('what is an OffloadError stays itself; anything else becomes internal and keeps its cause', () => {
  const own = new OffloadError('no_space', 'full');
  assert.is(toOffloadError(own, 'write'), own);
  const cause = new TypeError('x is\nnot a function');
  const wrapped = toOffloadError(cause, 'write page');
  assert.is(wrapped.code, 'internal');
  assert.is(wrapped.message, 'write page: x is not a function');
  assert.is(wrapped.cause, cause);
  assert.is(toOffloadError('text', 'write').message, 'write: text');
});

test.run();
