import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isSignal, signalName, signalNumber } from '../../interconnect/signals.ts';
import { OffloadError } from '../../platform/errors.ts';

test('a signal has its number, whether it is named with SIG, without, or by the number', () => {
  const wanted: Record<string, number> = {
    SIGTERM: 15,
    TERM: 15,
    '15': 15,
    SIGKILL: 9,
    HUP: 1,
    SIGUSR2: 12,
    SIGRTMIN: 34,
    'SIGRTMIN+3': 37,
    'RTMAX-1': 63,
    '64': 64,
  };
  for (const [name, number] of Object.entries(wanted)) {
    assert.is(signalNumber(name, 'kill'), number, name);
    assert.ok(isSignal(name), name);
  }
});

test('a number has the name that has this number', () => {
  for (const [number, name] of [
    [9, 'SIGKILL'],
    [6, 'SIGABRT'],
    [28, 'SIGWINCH'],
    [34, 'SIGRTMIN+0'],
    [37, 'SIGRTMIN+3'],
    [64, 'SIGRTMIN+30'],
  ] as const) {
    assert.is(signalName(number), name);
    assert.is(signalNumber(name, 'kill'), number);
  }
  for (const number of [0, 32, 65, Number.NaN]) assert.is(signalName(number), undefined);
});

test('a signal that Linux does not have is refused by name', () => {
  for (const name of ['SIGNONE', '0', '65', 'SIGRTMIN+31', 'RTMAX+1', 'RTMIN-1', '']) {
    assert.throws(
      () => signalNumber(name, 'kill container web'),
      (error: Error) =>
        error instanceof OffloadError &&
        error.code === 'invalid_request' &&
        error.message === `kill container web: there is no signal ${name}`.trim(),
      name,
    );
    assert.not(isSignal(name), name);
  }
});

test.run();
