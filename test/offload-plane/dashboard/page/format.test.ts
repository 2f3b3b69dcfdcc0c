import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { age, bytes, count, milliseconds, percent } from '../../../../offload-plane/dashboard/page/format.ts';

test('bytes have three digits that count and the unit that fits', () => {
  assert.equal([0, 999, 4_096, 269 * 1_048_576, 1_073_741_824].map(bytes), [
    '0 B',
    '999 B',
    '4.00 KiB',
    '269 MiB',
    '1.00 GiB',
  ]);
});

test('times go from milliseconds to minutes', () => {
  assert.equal([3.456, 250, 1_496, 125_000].map(milliseconds), ['3.46 ms', '250 ms', '1.50 s', '2 min 5 s']);
});

test('long counts are parted by narrow spaces, shares are whole percents', () => {
  assert.equal([7, 68_830, 1_234_567].map(count), ['7', '68\u202f830', '1\u202f234\u202f567']);
  assert.is(percent(0.125), '13 %');
});

test('an age is told in its largest unit, and never lies in the future', () => {
  assert.equal(
    [1_000, 59_000, 61_000, 3_700_000, 90_000_000, -5].map((ms) => age(0, ms)),
    ['1 s ago', '59 s ago', '1 min ago', '1 h ago', '1 d ago', '0 s ago'],
  );
});

test.run();
