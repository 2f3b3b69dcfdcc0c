import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createEventLog } from '../../guest-agent/events.ts';
import type { AgentEvent } from '../../interconnect/agent-api.ts';

test('events are numbered from 1 and carry the time', () => {
  let nowMs = 100;
  const log = createEventLog(() => nowMs++);
  log.emit({ container: 'web', event: 'created' });
  log.emit({ container: 'web', event: 'exited', exitCode: 3 });
  assert.equal(log.since(0), [
    { sequence: 1, atMs: 100, container: 'web', event: 'created' },
    { sequence: 2, atMs: 101, container: 'web', event: 'exited', exitCode: 3 },
  ]);
});

test('who was away asks for what came after the last event it saw', () => {
  const log = createEventLog(() => 0);
  for (let i = 0; i < 5; i += 1) log.emit({ container: 'web', event: 'started' });
  assert.equal(
    log.since(3).map((event) => event.sequence),
    [4, 5],
  );
  assert.equal(log.since(5), []);
});

test('a subscriber hears every event until it unsubscribes', () => {
  const log = createEventLog(() => 0);
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

test('only the last 10000 events are kept', () => {
  const log = createEventLog(() => 0);
  for (let i = 0; i < 10_003; i += 1) log.emit({ container: 'web', event: 'started' });
  const kept = log.since(0);
  assert.is(kept.length, 10_000);
  assert.is(kept[0]?.sequence, 4);
});

test.run();
