import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withDeadline } from '../../platform/deadline.ts';
import { readTar } from '../../platform/read-tar.ts';
import { startCpuTime } from '../helpers/cpu-time.ts';

const BLOCK = 512;
const DEADLINE_MS = 120_000;
/** Of processor time. */
const MAX_CPU_MS = 5_000;

/** A header of one block; the size is given as it stands there. */
function header(type: string, size: string | Buffer): Buffer {
  const block = Buffer.alloc(BLOCK);
  const fields: [number, string | Buffer][] = [
    [0, 'name'],
    [100, '0000644\0'],
    [124, size],
    [136, '00000000000 '],
    [156, type],
    [257, 'ustar\0' + '00'],
  ];
  for (const [at, value] of fields) Buffer.from(value as string).copy(block, at);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

const octal = (bytes: number) => `${bytes.toString(8).padStart(11, '0')} `;
const padded = (content: Buffer) => Buffer.concat([content, Buffer.alloc(-content.length & (BLOCK - 1))]);

/** An extended header of so many bytes, full of keys that are all different. */
function extended(type: 'x' | 'g', bytes: number): Buffer {
  const records: string[] = [];
  for (let length = 0, i = 0; length < bytes; i += 1) {
    const record = ` ${i.toString(36).padStart(5, '0')}=\n`;
    records.push(`${record.length + 2}${record}`);
    length += record.length + 2;
  }
  const content = Buffer.from(records.join(''));
  return Buffer.concat([header(type, octal(content.length)), padded(content)]);
}

/** The names of a tar's entries. */
async function namesIn(chunks: Iterable<Buffer>): Promise<string[]> {
  const entries = readTar();
  const fed = pipeline(Readable.from(chunks), entries);
  fed.catch(() => undefined);
  const names: string[] = [];
  for await (const entry of entries) {
    names.push(entry.header.name);
    entry.resume();
  }
  await fed;
  return names;
}

async function refusalOf(...chunks: Buffer[]): Promise<string> {
  const outcome = namesIn([...chunks, Buffer.alloc(2 * BLOCK)]).then(
    () => 'read',
    (error: Error) => error.message,
  );
  return withDeadline(outcome, DEADLINE_MS, 'read the tar');
}

test('entries with long names, links and attributes are read', async () => {
  const tar = pack();
  const long = `${'directory/'.repeat(100)}file`;
  tar.entry({ name: long }, 'content');
  tar.entry({ name: 'attributes', pax: { 'SCHILY.xattr.user.large': 'x'.repeat(65_536) } }, 'content');
  tar.entry({ name: 'link', type: 'symlink', linkname: long });
  tar.finalize();
  assert.equal(await namesIn(tar as AsyncIterable<Buffer> as never), [long, 'attributes', 'link']);
  assert.equal(await namesIn([extended('g', 1_000), header('0', octal(0)), Buffer.alloc(2 * BLOCK)]), [
    'name',
  ]);
});

test('an extended header that takes seconds to take apart is refused at once', async () => {
  const cpuMs = startCpuTime();
  assert.match(await refusalOf(extended('x', 4_000_000)), /pax-header of 4\d+ bytes, limit 262144 bytes/);
  const entries = Array.from({ length: 200 }, () => extended('x', 100)).flatMap((one) => [
    one,
    header('0', octal(0)),
  ]);
  assert.match(
    await refusalOf(extended('g', 4_000_000), ...entries),
    /pax-global-header of .* limit 4096 bytes/,
  );
  assert.match(
    await refusalOf(header('L', octal(1_000_000)), Buffer.alloc(BLOCK)),
    /gnu-long-path of 1000000 bytes/,
  );
  assert.ok(cpuMs() < MAX_CPU_MS);
});

test('sizes that are no numbers, or below zero, are refused and nothing waits for them', async () => {
  const base256 = (first: number, last: number) =>
    Buffer.from([first, ...Array(10).fill(first & 0x7f), last]);
  for (const type of ['0', 'x', 'g', 'L']) {
    for (const size of [base256(0x81, 1), 'zzzzzzzzzzz ', Buffer.alloc(12, 0xff).fill(0xf0, 11)]) {
      assert.is.not(
        await refusalOf(header(type, size), Buffer.alloc(BLOCK)),
        'read',
        `${type} ${String(size)}`,
      );
    }
  }
});

test.run();
