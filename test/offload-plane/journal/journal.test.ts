import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openJournal } from '../../../offload-plane/journal/journal.ts';
import { openState } from '../../helpers/state.ts';

const started = (container: string) => ({ type: 'container', event: 'started', container }) as const;

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of source) all.push(value);
  return all;
}

test('events are numbered in order, also by the plane that comes after', async () => {
  const { path, database, journal } = openState();
  journal.append(started('a'));
  journal.append(started('b'));
  database.close();
  const again = openState(path);
  again.journal.append(started('c'));
  const events = await collect(again.journal.read(1, {}));
  assert.equal(
    events.map(({ sequence, container }) => [sequence, container]),
    [
      [2, 'b'],
      [3, 'c'],
    ],
  );
  again.database.close();
});

test('a follower gets what was and what comes, once and in order, and only what it asked for', async () => {
  const { database, journal } = openState();
  const stop = new AbortController();
  journal.append(started('a'));
  const seen: number[] = [];
  const following = (async () => {
    for await (const { sequence } of journal.read(0, { container: 'a' }, stop.signal)) {
      seen.push(sequence);
      if (seen.length === 601) stop.abort();
    }
  })();
  for (let i = 0; i < 600; i += 1) {
    journal.append(started('b'));
    journal.append(started('a'));
    if (i % 50 === 0) await new Promise(setImmediate);
  }
  await following;
  assert.equal(
    seen,
    Array.from({ length: 601 }, (_, i) => 2 * i + 1),
  );
  database.close();
});

test('an event of a transaction that fails was never there', async () => {
  const { database, journal } = openState();
  assert.throws(() =>
    database.transaction(() => {
      journal.append(started('a'));
      throw new Error('no');
    }),
  );
  assert.equal(await collect(journal.read(0, {})), []);
  database.close();
});

test('old events go by count and by age', async () => {
  const { database } = openState();
  let nowMs = 0;
  const journal = openJournal(database, () => nowMs, { maxCount: 10, maxAgeMs: 1_000 });
  for (let i = 0; i < 128; i += 1) journal.append(started('a'));
  assert.is((await collect(journal.read(0, {}))).length, 10);
  nowMs = 5_000;
  for (let i = 0; i < 64; i += 1) journal.append(started('b'));
  const left = await collect(journal.read(0, {}));
  assert.ok(left.every(({ container }) => container === 'b'));
  assert.is(left.at(-1)?.sequence, 192);
  database.close();
});

test.run();
