import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readLogTail, writtenBefore } from '../../../guest-agent/stdio/log-tail.ts';
import { STDERR, STDOUT } from '../../../interconnect/stdio-frames.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const TIME = '2026-01-01T00:00:01.123456789+00:00';
const path = join(tempDirectory('log-tail'), 'log');
const textOf = (chunks: readonly { bytes: Buffer }[]) =>
  Buffer.concat(chunks.map(({ bytes }) => bytes)).toString();
const chunk = (text: string, stream: typeof STDOUT | typeof STDERR = STDOUT) => ({
  stream,
  bytes: Buffer.from(text),
});

test('the tail of a log is what was written, byte for byte and by stream', async () => {
  writeFileSync(path, `${TIME} stdout F one\r\n${TIME} stderr F two\n${TIME} stdout P # \n`);
  assert.equal(await readLogTail(path), [chunk('one\r\n'), chunk('two\n', STDERR), chunk('# ')]);
});

test('of a long log only whole lines of its end are read', async () => {
  const lines = Array.from({ length: 20_000 }, (_, number) => `${TIME} stdout F line ${number}\n`);
  writeFileSync(path, lines.join(''));
  const text = textOf(await readLogTail(path));
  assert.match(text, /^line \d+\n/);
  assert.match(text, /line 19999\n$/);
  assert.ok(text.length > 20_000 && text.length < 256 * 1024, `${text.length} bytes`);
});

test('where there is no log nothing was written', async () => {
  assert.equal(await readLogTail(`${path}-none`), []);
});

test('what has come already, or comes while the log is read, is not before itself', () => {
  const written = [chunk('a'), chunk('bb', STDERR), chunk('ccc')];
  assert.equal(writtenBefore(written, []), written);
  assert.equal(writtenBefore(written, [chunk('ccc')]), written.slice(0, 2));
  assert.equal(writtenBefore(written, [chunk('cc')]), [...written.slice(0, 2), chunk('c')]);
  assert.equal(writtenBefore(written, [chunk('a'), chunk('b')]), []);
  assert.equal(writtenBefore(written, [chunk('never written')]), written);
});

test.run();
