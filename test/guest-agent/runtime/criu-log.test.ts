import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { criuFailure } from '../../../guest-agent/runtime/criu-log.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const directory = tempDirectory('criu-log');
const crunSays = new OffloadError('runtime_failed', 'crun: CRIU checkpointing failed -52');

test('the last three errors of the log take the place of what crun said', async () => {
  const path = join(directory, 'dump.log');
  const errors = ['one', 'two', 'three', 'four'].map(
    (word, i) => `(00.0${i}) Error (criu/x.c:${i}): ${word}`,
  );
  writeFileSync(path, ['(00.00) Version: 4.2.1', ...errors, '(00.09) Warn  (x): bye', ''].join('\n'));
  const error = await criuFailure('checkpoint container web', path, crunSays);
  assert.is(error.code, 'runtime_failed');
  assert.is(
    error.message,
    'checkpoint container web: Error (criu/x.c:1): two; Error (criu/x.c:2): three; Error (criu/x.c:3): four',
  );
  assert.is(error.cause, crunSays);
});

test('a job in the foreground of a terminal is a refusal that says what to do', async () => {
  const path = join(directory, 'terminal.log');
  const said = '(00.3) Error (criu/tty.c:2281): tty: ctty inheritance detected sid/pgrp 1, no PTY peer';
  writeFileSync(path, `${said}\n(00.4) Error (criu/cr-dump.c:1975): Dumping FAILED.\n`);
  const error = await criuFailure('checkpoint container web', path, crunSays);
  assert.is(error.code, 'invalid_state');
  assert.match(
    error.message,
    /^checkpoint container web: a job has the foreground .* suspend it \(Ctrl-Z\)$/,
  );
});

test('without a log, or without an error in it, it is what crun said', async () => {
  const path = join(directory, 'quiet.log');
  writeFileSync(path, '(00.00) all is well\n');
  for (const log of [path, join(directory, 'none.log')]) {
    const error = await criuFailure('restore container web', log, crunSays);
    assert.is(error.message, 'restore container web: crun: CRIU checkpointing failed -52');
  }
});

test('a deadline stays a deadline', async () => {
  const late = new OffloadError('deadline_exceeded', 'crun: no end within 5 ms');
  assert.is((await criuFailure('restore', join(directory, 'none'), late)).code, 'deadline_exceeded');
  assert.is((await criuFailure('restore', join(directory, 'none'), new Error('x'))).code, 'runtime_failed');
});

test.run();
