import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCommand, type Reply, ReplyParser } from '../../../testbed/workloads/resp.ts';

const parse = (...chunks: (string | Buffer)[]): Reply[] => {
  const parser = new ReplyParser();
  return chunks.flatMap((chunk) => parser.push(Buffer.from(chunk)));
};

test('a command is an array of bulks', () => {
  assert.is(
    encodeCommand('SET', 'k', Buffer.from('\r\n')).toString(),
    '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n',
  );
});

test('every kind of reply is told from the others', () => {
  assert.equal(parse('+OK\r\n:42\r\n$2\r\nhi\r\n$0\r\n\r\n$-1\r\n-ERR no\r\n'), [
    { kind: 'simple', text: 'OK' },
    { kind: 'integer', value: 42 },
    { kind: 'bulk', value: Buffer.from('hi') },
    { kind: 'bulk', value: Buffer.from('') },
    { kind: 'bulk', value: undefined },
    { kind: 'error', text: 'ERR no' },
  ]);
});

test('however the bytes are cut, the replies are the same', () => {
  const bytes = Buffer.from('+OK\r\n$12\r\nhello\r\nworld\r\n:7\r\n$-1\r\n');
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 }), (cuts) => {
      const ends = [...cuts.sort((a, b) => a - b), bytes.length];
      const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
      assert.equal(parse(...chunks), parse(bytes));
    }),
  );
});

test('what is no reply is refused before it is waited for', () => {
  for (const [bytes, cause] of [
    ['HTTP/1.1 200 OK\r\n', 'a reply of type "H"'],
    ['$99999999\r\n', 'a bulk of 99999999 bytes, the limit is 1048576 bytes'],
    ['$-2\r\n', 'a bulk of -2 bytes'],
    ['$1e3\r\n', 'where a number belongs'],
    ['$1\r\nabc', 'a bulk without its end'],
    [`+${'x'.repeat(600)}`, 'a line of more than 512 bytes'],
  ] as const) {
    assert.throws(() => parse(bytes), new RegExp(cause), bytes.slice(0, 20));
  }
});

test.run();
