/** Bytes of a checkpoint change in the store between its dump and a real restore. */
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { PAGE_BYTES } from '../../../interconnect/page-protocol.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { criuTest } from '../../helpers/criu-test.ts';
import { sharedCheckpoint, startRestore } from '../../helpers/native-restore.ts';
import { rejection } from '../../helpers/rejection.ts';
import { type Draw, seeded } from '../../helpers/seeded.ts';
import { test } from '../../helpers/suite.ts';

const DEADLINE_MS = 180_000;
const checkpoint = sharedCheckpoint(16, 2);
let restoreCount = 0;

interface Pages {
  count: number;
  read(page: number): Buffer;
  write(page: number, bytes: Buffer): void;
}

/** Changes the file of all pages, and puts back what it was after `body`. */
async function withDamage(damage: (pages: Pages) => void, body: () => Promise<void>): Promise<void> {
  const file = openSync(join(checkpoint().directory, 'store/checkpoints/heap/pages'), 'r+');
  const before = new Map<number, Buffer>();
  const pages: Pages = {
    count: Math.floor(fstatSync(file).size / PAGE_BYTES),
    read: (page) => {
      const bytes = Buffer.alloc(PAGE_BYTES);
      readSync(file, bytes, 0, PAGE_BYTES, page * PAGE_BYTES);
      return bytes;
    },
    write: (page, bytes) => {
      if (!before.has(page)) before.set(page, pages.read(page));
      writeSync(file, bytes, 0, PAGE_BYTES, page * PAGE_BYTES);
    },
  };
  damage(pages);
  try {
    await body();
  } finally {
    for (const [page, bytes] of before) writeSync(file, bytes, 0, PAGE_BYTES, page * PAGE_BYTES);
    closeSync(file);
  }
}

const damages: [string, (pages: Pages, draw: Draw) => void][] = [
  [
    'a flipped bit',
    (pages, draw) => {
      const page = draw(pages.count);
      const bytes = pages.read(page);
      bytes[draw(PAGE_BYTES)]! ^= 1 << draw(8);
      pages.write(page, bytes);
    },
  ],
  ['a zeroed page', (pages, draw) => pages.write(draw(pages.count), Buffer.alloc(PAGE_BYTES))],
  [
    'two pages that changed places',
    (pages, draw) => {
      const one = draw(pages.count);
      const other = (one + 1 + draw(pages.count - 1)) % pages.count;
      const bytes = pages.read(one);
      pages.write(one, pages.read(other));
      pages.write(other, bytes);
    },
  ],
];
for (const [what, damage] of damages)
  criuTest(`${what} in the store ends the container before it is read, with the page named`, async () => {
    for (const seed of [1, 2, 3]) {
      const draw = seeded(seed);
      await withDamage(
        (pages) => damage(pages, draw),
        async () => {
          const name = `damaged-${restoreCount++}`;
          const native = await startRestore({
            checkpoint: checkpoint(),
            name,
            session: { faultsDryUpMs: 1 },
          });
          const why = withDeadline(rejection(native.session.done), DEADLINE_MS, 'end of the session');
          try {
            /* CRIU itself reads some pages. */
            const restored = await native.restored.catch(() => undefined);
            const answer = restored?.exitCode === 0 ? await native.ask('walk') : 'no answer';
            const { exitCode, stderr } = await withDeadline(native.pager.ended, DEADLINE_MS, 'pager');
            const named = /page 0x[0-9a-f]+.*checksum/;
            assert.match((await why).message, named, stderr);
            assert.match(stderr, named);
            assert.match(answer, /no answer/, `seed ${seed}: ${stderr}`);
            assert.is(exitCode, 1);
          } finally {
            await native.end();
          }
        },
      );
    }
  });

test.run();
