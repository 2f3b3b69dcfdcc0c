import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { privateAptOptions, sourceLines } from '../../../testbed/setup/private-apt.ts';
import { qemuSuites, usableQemuVersion } from '../../../testbed/setup/tools.ts';

test('QEMU older than 10 is not taken', () => {
  assert.is(usableQemuVersion('QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)'), undefined);
  assert.is(usableQemuVersion(''), undefined);
  assert.is(usableQemuVersion('QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)'), '10.0.2');
});

test('Debian 12 takes QEMU from backports with the main suite for its dependencies', () => {
  assert.equal(qemuSuites('bookworm'), ['bookworm-backports', 'bookworm']);
  assert.equal(qemuSuites('trixie'), ['trixie']);
});

test("private apt touches neither the machine's sources nor its lists", () => {
  const options = privateAptOptions('/cache/apt').join(' ');
  assert.match(options, 'Dir::Etc::sourcelist=/cache/apt/sources.list');
  assert.match(options, 'Dir::Etc::sourceparts=/dev/null');
  assert.match(options, 'Dir::State::lists=/cache/apt/lists');
});

test('every suite gets a line of its own with the keyring', () => {
  assert.equal(sourceLines('http://m.example/debian', ['a', 'b'], '/k.gpg'), [
    'deb [signed-by=/k.gpg] http://m.example/debian a main',
    'deb [signed-by=/k.gpg] http://m.example/debian b main',
  ]);
});

test.run();
