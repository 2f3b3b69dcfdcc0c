import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { restoreInstead } from '../../../offload-plane/containers/restore-instead.ts';
import { RECIPE } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { withRestores } from './world.ts';

test('one that takes the place of another in its own guest is no clone: it has its address, hostname and name', async () => {
  await withRestores(async ({ asked, containers, restores, guest }) => {
    const old = await containers.admit({ name: 'web', guest, recipe: RECIPE, ports: [], phase: 'created' });
    await containers.recorded(old, { verb: 'create' }, async () => {});
    await restoreInstead({ containers, restores }, old, { guest: 'guest-a', checkpoint: 'warm' });
    const [moved, ...others] = containers.records();
    assert.equal(others, []);
    assert.is.not(moved!.id, old.id);
    assert.equal([moved!.name, moved!.recipe.spec.address], ['web', '10.88.0.2/16']);
    assert.is(restores.list()[0]!.clone, false);
    assert.equal([asked[0]!.spec.hostname, asked[0]!.machineId], ['web', undefined]);
    const next = await containers.create({ name: 'next', guest: 'guest-a', image: 'redis' });
    assert.is.not(next.address, '10.88.0.2', 'still the moved one’s');
  });
});

test('a restore keeps the address; a clone has one of its own, and a hostname and a machine id', async () => {
  await withRestores(async ({ create, asked, containers }) => {
    assert.is((await create({ name: 'same' })).clone, false);
    assert.is(asked[0]!.machineId, undefined);
    assert.is((await create({ name: 'clone_1', clone: true })).clone, true);
    // Its address is taken by then, so nobody has to say so.
    assert.is((await create({ name: 'clone-2' })).clone, true);
    assert.equal(
      asked.map(({ spec }) => [spec.hostname, spec.address]),
      [
        ['web', '10.88.0.2/16'],
        ['clone-1', '10.88.0.3/16'],
        ['clone-2', '10.88.0.4/16'],
      ],
    );
    assert.match(asked[1]!.machineId!, /^[0-9a-f]{32}$/);
    assert.is.not(asked[1]!.machineId, asked[2]!.machineId);
    assert.equal(
      containers.list().map(({ address }) => address),
      ['10.88.0.2', '10.88.0.3', '10.88.0.4'],
    );
  });
});

test('a clone whose name is taken leaves its address to others', async () => {
  await withRestores(async ({ create, asked }) => {
    await create({ name: 'web' });
    assert.is((await rejection(create({ name: 'web', clone: true }))).code, 'already_exists');
    await create({ name: 'other', clone: true });
    assert.is.not(asked[1]!.spec.address, asked[0]!.spec.address);
  });
});

test.run();
