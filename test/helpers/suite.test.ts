import { join } from 'node:path';
import { execa } from 'execa';
import * as assert from 'uvu/assert';
import { test } from '../helpers/suite.ts';

const SUITE = join(import.meta.dirname, 'suite.ts');

test('why a set-up failed is told, and its tests count as not passed', async () => {
  const script = `
    import { suite } from ${JSON.stringify(SUITE)};
    const test = suite('some');
    test.before(() => { throw new Error('no disk'); });
    test('one', () => {});
    test.run();`;
  const { all } = await execa(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    all: true,
  });
  assert.match(all, /the set-up failed: Error: no disk/);
  assert.match(all, /Total: +1[\s\S]*Passed: +0/);
});

test.run();
