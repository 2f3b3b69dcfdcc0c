import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openUnfinishedRecordings } from '../../../offload-plane/order-log/unfinished.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { HEAP, PAGE, withCheckpoint } from '../page-store/fixture.ts';

const entry = (page: number) => ({ task: 42, vaddr: HEAP + BigInt(page * PAGE), timeUs: page });

test('what was recorded is there for each plane that follows, until it is over', async () => {
  await withCheckpoint(async ({ reader }) => {
    const recordings = openUnfinishedRecordings(tempDirectory('recordings'));
    const first = recordings.begin('web-1');
    first.append(entry(9));
    // Not left: a plane that is killed says nothing.
    const second = recordings.goOn('web-1', reader)!;
    assert.equal(second.earlier, [entry(9)]);
    second.append(entry(3));
    second.leave();
    second.append(entry(4));
    const third = recordings.goOn('web-1', reader)!;
    assert.equal(third.earlier, [entry(9), entry(3)]);
    third.remove();
    assert.is(recordings.goOn('web-1', reader), undefined);
    assert.equal(recordings.begin('web-1').earlier, []);
    recordings.removeExcept(new Set());
    assert.is(recordings.goOn('web-1', reader), undefined);
  });
});

test('a device that takes no more ends what the next plane could go on with, and nothing else', async () => {
  await withCheckpoint(async ({ reader }) => {
    const directory = tempDirectory('recordings');
    const recordings = openUnfinishedRecordings(directory);
    symlinkSync('/dev/full', join(directory, 'web-1'));
    const full = recordings.begin('web-1');
    full.append(entry(9));
    full.append(entry(3));
    assert.not(existsSync(join(directory, 'web-1')));
    assert.is(recordings.goOn('web-1', reader), undefined);
  });
});

test.run();
