import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type LogQuery, readLog } from '../../../guest-agent/stdio/log-reader.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const line = (second: number, text: string, tag = 'F') =>
  `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000001+00:00 stdout ${tag} ${text}\n`;

function log(...lines: string[]): string {
  const path = join(tempDirectory('log'), 'container.log');
  writeFileSync(path, lines.join(''));
  return path;
}

async function read(path: string, query: Partial<LogQuery>): Promise<string> {
  const chunks: Buffer[] = [];
  const source = { path, isOver: () => true, signal: new AbortController().signal };
  for await (const chunk of readLog(source, { follow: false, ...query })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('a log is read as it is', async () => {
  const lines = [line(1, 'one'), line(2, 'two')];
  assert.is(await read(log(...lines), {}), lines.join(''));
});

test('a tail is counted in lines of output, however many lines of the log each is', async () => {
  const lines = [line(1, 'one'), line(2, 'tw', 'P'), line(2, 'o'), line(3, 'three')];
  const path = log(...lines);
  assert.is(await read(path, { tailLines: 1 }), lines[3]!);
  assert.is(await read(path, { tailLines: 2 }), lines.slice(1).join(''));
  assert.is(await read(path, { tailLines: 3 }), lines.join(''));
  assert.is(await read(path, { tailLines: 9 }), lines.join(''));
  assert.is(await read(path, { tailLines: 0 }), '');
});

test('a tail is found in a log of many blocks', async () => {
  const lines = Array.from({ length: 3_000 }, (_, number) => line(1, `${number} ${'x'.repeat(100)}`));
  for (const tailLines of [1, 500, 1_000, 2_999]) {
    assert.is(await read(log(...lines), { tailLines }), lines.slice(-tailLines).join(''));
  }
});

test('a tail is found wherever a block of the log ends, also in output without a newline', async () => {
  // A block of 64 KiB holds 257 lines of 255 bytes, and the newline of one more.
  const text = (number: number) => String(number).padStart(255 - line(1, '').length, '.');
  const lines = Array.from({ length: 1_000 }, (_, number) => line(1, text(number)));
  for (const tailLines of [256, 257, 258, 300, 999]) {
    assert.is(
      await read(log(...lines), { tailLines }),
      lines.slice(-tailLines).join(''),
      `${tailLines} lines`,
    );
  }
  const partial = Array.from({ length: 1_000 }, (_, number) => line(1, text(number), 'P'));
  assert.is(await read(log(...partial), { tailLines: 10 }), partial.join(''));
});

test('what was written before a time is left out', async () => {
  const path = log(line(1, 'one'), line(2, 'two'), line(3, 'three'));
  const sinceMs = Date.parse('2026-01-01T00:00:02Z');
  assert.is(await read(path, { sinceMs }), line(2, 'two') + line(3, 'three'));
  assert.is(await read(path, { sinceMs: sinceMs + 60_000 }), '');
});

/** Follows a log, and gives what has come so far. */
function follow(path: string) {
  const abort = new AbortController();
  const state = { text: '', over: false, ended: false, abort };
  void (async () => {
    const source = { path, isOver: () => state.over, signal: abort.signal };
    for await (const chunk of readLog(source, { follow: true })) state.text += chunk.toString();
    state.ended = true;
  })();
  return state;
}

test('who follows gets what is written later, and the end once nothing more can come', async () => {
  const path = log(line(1, 'one'));
  const follower = follow(path);
  await until('the first line', () => follower.text === line(1, 'one'));
  appendFileSync(path, line(2, 'two'));
  await until('the second line', () => follower.text.endsWith(line(2, 'two')));
  appendFileSync(path, line(3, 'three'));
  follower.over = true;
  await until('the end', () => follower.ended);
  assert.ok(follower.text.endsWith(line(3, 'three')));
});

test('who follows loses nothing when another file takes the place of a full one', async () => {
  const path = log(line(1, 'one'));
  const follower = follow(path);
  await until('the first line', () => follower.text !== '');
  appendFileSync(path, line(2, 'two'));
  writeFileSync(`${path}.tmp`, line(3, 'three'));
  renameSync(`${path}.tmp`, path);
  appendFileSync(path, line(4, 'four'));
  const whole = [line(1, 'one'), line(2, 'two'), line(3, 'three'), line(4, 'four')].join('');
  await until('all four', () => follower.text === whole);
  follower.over = true;
  await until('the end', () => follower.ended);
  assert.is(follower.text, whole);
});

test('who follows and goes away is waited for no longer', async () => {
  const follower = follow(log(line(1, 'one')));
  await until('the first line', () => follower.text !== '');
  follower.abort.abort();
  await until('the end', () => follower.ended);
});

test.run();
