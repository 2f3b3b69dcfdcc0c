import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Life } from '../../guest-agent/life.ts';
import { missingEvents } from '../../guest-agent/missing-events.ts';
import type { AgentEvent } from '../../interconnect/agent-api.ts';

const created: Life = { phase: 'created', pid: 5 };
const running: Life = { phase: 'running', pid: 5 };
const paused: Life = { phase: 'paused', pid: 5 };
const frozen: Life = { phase: 'checkpointing', pid: 5, frozenAtMs: 1 };
const stopped: Life = { phase: 'stopped', exitCode: 0 };

type Row = [
  what: string,
  last: AgentEvent['event'] | undefined,
  hasForgotten: boolean,
  recorded: Life,
  now: Life,
  missing: AgentEvent['event'][],
];
const ROWS: Row[] = [
  ['nothing has happened', 'created', false, created, created, []],
  ['nothing has happened to one that runs', 'started', false, running, running, []],
  ['it was created, and nobody was told', undefined, false, created, created, ['created']],
  ['it was created again, and nobody was told', 'exited', false, created, created, ['created']],
  ['crun had started it', 'created', false, created, running, ['started']],
  ['its record was written and its event was not', 'created', false, running, running, ['started']],
  ['it was created and started', undefined, false, created, running, ['created', 'started']],
  ['it was restored, and nobody was told', undefined, false, running, running, ['restored']],
  ['it was restored to stand still', undefined, false, paused, paused, ['restored']],
  ['it runs on after a checkpoint', 'started', false, frozen, running, []],
  ['it was paused', 'started', false, running, paused, []],
  ['it ended meanwhile', 'started', false, running, stopped, ['exited']],
  ['it ended before it was ever started', 'created', false, created, stopped, ['exited']],
  ['it ended while it stood still', 'restored', false, paused, stopped, ['exited']],
  ['its end is recorded and was told', 'exited', false, stopped, stopped, []],
  ['its end is recorded and was not told', 'started', false, stopped, stopped, ['exited']],
  ['its end was told and is not recorded', 'exited', false, running, stopped, []],
  ['it ended with its checkpoint', 'checkpointed', false, stopped, stopped, []],
  ['it was created again and ended', 'exited', false, stopped, stopped, []],
  ['its events are too old to be kept', undefined, true, running, running, []],
  ['its end is too old to be kept', undefined, true, stopped, stopped, []],
  ['it ended, and its other events are too old', undefined, true, running, stopped, ['exited']],
  [
    'it was created and ended, and nobody was told',
    undefined,
    false,
    created,
    stopped,
    ['created', 'exited'],
  ],
];

for (const [what, last, hasForgotten, recorded, now, missing] of ROWS) {
  test(`${what}: ${missing.join(', ') || 'nothing'} is missing`, () => {
    assert.equal(missingEvents(last, hasForgotten, recorded, now), missing);
  });
}

test.run();
