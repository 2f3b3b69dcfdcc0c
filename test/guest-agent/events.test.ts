import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventLog } from '../../guest-agent/events.ts';
import type { AgentEvent } from '../../interconnect/agent-api.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

let logs = 0;
const directory = tempDirectory('events');
const freshPath = () => join(directory, `events-${logs++}.ndjson`);

test('events are numbered from 1 and carry the time', () => {
  let nowMs = 100;
  const log = createEventLog(freshPath(), () => nowMs++);
  log.emit({ container: 'web', event: 'created' });
  log.emit({ container: 'web', event: 'exited', exitCode: 3 });
  assert.equal(log.since(0), [
    { sequence: 1, atMs: 100, container: 'web', event: 'created' },
    { sequence: 2, atMs: 101, container: 'web', event: 'exited', exitCode: 3 },
  ]);
});

test('who was away asks for what came after the last event it saw', () => {
  const log = createEventLog(freshPath(), () => 0);
  for (let i = 0; i < 5; i += 1) log.emit({ container: 'web', event: 'started' });
  assert.equal(
    log.since(3).map((event) => event.sequence),
    [4, 5],
  );
  assert.equal(log.since(5), []);
});

test('a subscriber hears every event until it unsubscribes', () => {
  const log = createEventLog(freshPath(), () => 0);
  const heard: AgentEvent[] = [];
  const unsubscribe = log.subscribe((event) => heard.push(event));
  log.emit({ container: 'web', event: 'started' });
  unsubscribe();
  log.emit({ container: 'web', event: 'deleted' });
  assert.equal(
    heard.map(({ event }) => event),
    ['started'],
  );
});

test('only so many of the last events are kept, in memory and in the file', () => {
  const path = freshPath();
  const log = createEventLog(path, () => 0, 10);
  for (let i = 0; i < 1_003; i += 1) log.emit({ container: 'web', event: 'started' });
  const kept = log.since(0);
  assert.is(kept.length, 10);
  assert.is(kept[0]?.sequence, 994);
  assert.ok(log.hasForgotten());
  assert.ok(readFileSync(path, 'utf8').split('\n').length <= 21);
});

test('a log that is opened again goes on: its events are there and numbers are not given twice', () => {
  const path = freshPath();
  const first = createEventLog(path, () => 1);
  first.emit({ container: 'web', event: 'created' });
  first.emit({ container: 'web', event: 'exited', exitCode: 2 }, 77);
  // The writer was killed in the middle of the next.
  appendFileSync(path, '{"sequence":3,"atMs"');
  const second = createEventLog(path, () => 5);
  second.emit({ container: 'web', event: 'deleted' });
  assert.equal(
    second.since(1).map(({ sequence, atMs, event }) => [sequence, atMs, event]),
    [
      [2, 77, 'exited'],
      [3, 5, 'deleted'],
    ],
  );
  assert.is(second.lastOf('web')?.event, 'deleted');
  assert.is(second.lastOf('other'), undefined);
  assert.equal(createEventLog(path, () => 9).since(0), second.since(0));
});

test.run();
