import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { logEntries } from '../../../interconnect/conmon-log.ts';
import { type LogWanted, wantedOutput } from '../../../offload-plane/containers/log-lines.ts';
import { rejection } from '../../helpers/rejection.ts';

const TIME = '2026-01-01T00:00:01.123456789+00:00';

/** What conmon writes for this output, read in pieces of so many bytes. */
function conmonLines(output: Buffer, readBytes: number): Buffer {
  const lines: Buffer[] = [];
  for (let at = 0; at < output.length; at += readBytes) {
    let chunk = output.subarray(at, at + readBytes);
    while (chunk.length > 0) {
      const end = chunk.indexOf(10);
      const [text, tag] = end < 0 ? [chunk, 'P'] : [chunk.subarray(0, end), 'F'];
      lines.push(Buffer.from(`${TIME} stdout ${tag} `), text, Buffer.from('\n'));
      chunk = end < 0 ? chunk.subarray(chunk.length) : chunk.subarray(end + 1);
    }
  }
  return Buffer.concat(lines);
}

async function* cut(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function outputOf(log: Buffer, wanted: Partial<LogWanted> = {}, cutBytes = 4_096): Promise<Buffer> {
  const output: Buffer[] = [];
  const entries = logEntries(cut(log, cutBytes));
  for await (const { bytes } of wantedOutput(entries, { timestamps: false, ...wanted })) output.push(bytes);
  return Buffer.concat(output);
}

test('the output comes back byte for byte, however it was read, written and sent', async () => {
  const bytes = fc.array(fc.constantFrom(10, 13, 32, 65, 0, 255), { maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(
      bytes,
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 90 }),
      async (values, readBytes, cutBytes) => {
        const output = Buffer.from(values);
        assert.equal(await outputOf(conmonLines(output, readBytes), {}, cutBytes), output);
      },
    ),
  );
});

test('a time stands at the beginning of each line, and not within one', async () => {
  const log = conmonLines(Buffer.from('one\nlonger than eight\n'), 8);
  const text = (await outputOf(log, { timestamps: true })).toString();
  assert.is(text, `${TIME} one\n${TIME} longer than eight\n`);
});

test('only what lies between two times is given, and nothing is read beyond', async () => {
  const log = ['01', '02', '03', '04']
    .map((second) => `2026-01-01T00:00:${second}.000000000+00:00 stderr F ${second}\n`)
    .join('');
  const wanted = { sinceMs: Date.parse('2026-01-01T00:00:02Z'), untilMs: Date.parse('2026-01-01T00:00:03Z') };
  assert.is((await outputOf(Buffer.from(log), wanted)).toString(), '02\n03\n');
});

test('a line in no form of conmon is left out, and one without an end is not collected', async () => {
  const log = Buffer.from(`nonsense\n${TIME} stdout F kept\n${TIME} stdin F no\n`);
  assert.is((await outputOf(log)).toString(), 'kept\n');
  const error = await rejection(outputOf(Buffer.alloc(70_000, 'x')));
  assert.match(String(error), /a line of over 65536 bytes/);
});

test.run();
