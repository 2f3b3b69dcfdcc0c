/** What clones of one checkpoint must not share. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withDeadline } from '../../../platform/deadline.ts';
import { STEP_MS } from '../../helpers/criu-heap.ts';
import { criuTest } from '../../helpers/criu-test.ts';
import { checkpointIntoStore, startRestore } from '../../helpers/native-restore.ts';
import { buildPrograms, DYNAMIC_HEAP } from '../../helpers/pager-program.ts';

const CLONE_COUNT = 4;
const BLOCK_DIGITS = 32;

criuTest('clones of one checkpoint, and their children, draw different random bytes', async () => {
  await buildPrograms();
  const checkpoint = await checkpointIntoStore(4, 1, DYNAMIC_HEAP);
  const blocks: string[] = [];
  try {
    for (let clone = 0; clone < CLONE_COUNT; clone++) {
      const native = await startRestore({ checkpoint, name: `clone-${clone}` });
      try {
        assert.is((await native.restored).exitCode, 0);
        for (const drawn of [await native.ask('random'), await native.ask('random')]) {
          assert.match(drawn, /^[0-9a-f]{128} [0-9a-f]{128}$/);
          blocks.push(...drawn.replace(' ', '').match(new RegExp(`.{${BLOCK_DIGITS}}`, 'g'))!);
        }
        await withDeadline(native.session.done, STEP_MS, 'session');
      } finally {
        await native.end();
      }
    }
  } finally {
    await checkpoint.remove();
  }
  assert.is(blocks.length, CLONE_COUNT * 2 * 2 * 4);
  assert.is(new Set(blocks).size, blocks.length, 'two equal blocks of 16 bytes');
});

test.run();
