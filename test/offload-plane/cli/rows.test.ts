import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatRows } from '../../../offload-plane/cli/rows.ts';

test('columns are the keys of all rows in the order they first appear, as wide as their widest cell', () => {
  assert.equal(
    formatRows([
      { name: 'a', phase: 'running' },
      { name: 'longer', exitCode: 3 },
    ]),
    ['NAME    PHASE    EXITCODE', 'a       running  -', 'longer  -        3'],
  );
});

test('nested values have no column, lists are joined and an empty one is a dash', () => {
  assert.equal(formatRows([{ id: 'r', timings: { runningMs: 1 }, ports: [] }]), ['ID  PORTS', 'r   -']);
  assert.equal(formatRows([{ ports: [{ hostAddress: '::1', hostPort: 1, containerPort: 2 }, 'x'] }]), [
    'PORTS',
    '::1:1->2, x',
  ]);
});

test('whole numbers stay whole, others get one digit, and nothing is shown as a dash', () => {
  assert.equal(formatRows([{ count: 12, ms: 1.26, absent: undefined, none: false }]), [
    'COUNT  MS   ABSENT  NONE',
    '12     1.3  -       false',
  ]);
});

test('what would command a terminal is shown as an escape, whoever chose the name', () => {
  const [, row] = formatRows([{ command: 'a\u001b]0;x\u0007\nb', name: ['\u009b2J', '\u202etxt'] }]);
  assert.is(row, 'a\\u001b]0;x\\u0007\\nb  \\u{9b}2J, \\u{202e}txt');
});

test.run();
