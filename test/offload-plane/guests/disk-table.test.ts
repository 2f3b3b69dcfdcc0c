import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createDiskTable, FIRST_LUN, LAST_LUN } from '../../../offload-plane/guests/disk-table.ts';

const image = (path: string) => ({ path, readOnly: true });
const volume = (path: string) => ({ path, readOnly: false });

test('a LUN is given again only after all others were', () => {
  const table = createDiskTable('guest-a');
  table.remove(table.add(image('/a')));
  const luns = Array.from({ length: LAST_LUN }, (_, index) => table.add(image(`/${index}`)).lun);
  assert.is(luns[0], FIRST_LUN + 1);
  assert.is(luns.at(-1), FIRST_LUN);
  assert.ok(table.isFull);
});

test('of the images that nobody uses the one used least lately makes room, and never a volume', () => {
  const table = createDiskTable('guest-a');
  const [a, b, c] = [table.add(image('/a')), table.add(image('/b')), table.add(volume('/c'))];
  assert.is(table.dispensable(), a);
  table.touch(a);
  assert.is(table.dispensable(), b);
  b.holders.add('web');
  a.holders.add('web');
  assert.is(table.dispensable(), undefined);
  assert.is(c.holders.size, 0);
});

test('whatever is added, adopted and removed, no two disks have one LUN', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), name: fc.integer({ min: 0, max: 400 }) }),
    fc.record({ do: fc.constant('remove' as const), name: fc.integer({ min: 0, max: 400 }) }),
  );
  const adopted = fc.uniqueArray(fc.integer({ min: FIRST_LUN, max: LAST_LUN }), { maxLength: 20 });
  fc.assert(
    fc.property(adopted, fc.array(step, { maxLength: 600 }), (luns, steps) => {
      const table = createDiskTable('guest-a');
      for (const lun of luns) table.adopt(image(`/adopted-${lun}`), lun);
      for (const { do: what, name } of steps) {
        const present = table.find(`/${name}`);
        if (what === 'remove' && present) table.remove(present);
        if (what === 'add' && !present && !table.isFull) table.add(image(`/${name}`));
      }
      const used = table.list().map((disk) => disk.lun);
      assert.is(new Set(used).size, used.length);
      assert.ok(used.every((lun) => lun >= FIRST_LUN && lun <= LAST_LUN));
      assert.is(table.isFull, used.length === LAST_LUN);
    }),
  );
});

test.run();
