import { existsSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { processStartTicks } from '../../../platform/processes.ts';
import {
  claimRecord,
  readRecord,
  removePlaces,
  type UpRecord,
  upPlaces,
  whatIsUp,
  writeRecord,
} from '../../../testbed/up/record.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const OURSELVES = { pid: process.pid, startTicks: processStartTicks(process.pid) ?? 0 };

function recordOf(supervisor: UpRecord['supervisor'], text = ''): UpRecord {
  const options = { guestCount: 1, memoryMiB: 512, vcpus: 1, storeDirectory: '/store', port: 8600 };
  const paths = { socketPath: '/s', tokenPath: '/t' };
  const startedAt = '2026-01-01T00:00:00.000Z';
  return {
    supervisor,
    phase: 'starting',
    text,
    startedAt,
    options,
    ...paths,
    planeRestartCount: 0,
    guests: [],
  };
}

test('a record of a supervisor that is gone counts for nothing, and gives way', () => {
  const places = upPlaces(join(tempDirectory('up'), 'run'));
  claimRecord(places, recordOf({ ...OURSELVES, startTicks: OURSELVES.startTicks - 1 }));
  assert.is(whatIsUp(places), undefined);
  claimRecord(places, recordOf(OURSELVES, 'the second'));
  assert.is(whatIsUp(places)?.text, 'the second');
});

test('while a supervisor lives there is no second one', () => {
  const places = upPlaces(tempDirectory('up'));
  claimRecord(places, recordOf(OURSELVES, 'the first'));
  assert.throws(() => claimRecord(places, recordOf(OURSELVES)), /another one is on its way/);
  assert.is(readRecord(places)?.text, 'the first');
  writeRecord(places, recordOf(OURSELVES, 'further'));
  assert.is(readRecord(places)?.text, 'further');
  assert.is(statSync(places.recordPath).mode & 0o777, 0o600);
});

test('all its files go, and not what the link to the run leads to', () => {
  const directory = tempDirectory('up');
  const places = upPlaces(directory);
  const run = tempDirectory('run');
  claimRecord(places, recordOf(OURSELVES));
  symlinkSync(run, places.linkPath);
  writeFileSync(places.tokenPath, 'x');
  removePlaces(places);
  for (const path of Object.values(places)) assert.not(existsSync(path), path);
  assert.ok(existsSync(run));
});

test('a record that is half written or foreign is none', () => {
  const places = upPlaces(tempDirectory('up'));
  writeFileSync(places.recordPath, '{"supervisor": {"pid"');
  assert.is(readRecord(places), undefined);
  assert.is(whatIsUp(places), undefined);
});

test.run();
