import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { guestModules } from '../../../testbed/image/init-script.ts';
import {
  aptPreferences,
  guestImageRecipe,
  mmdebstrapArgv,
  recipeHash,
} from '../../../testbed/image/recipe.ts';

test('the hash changes with the recipe and with the Node version, and with nothing else', () => {
  const hash = recipeHash(guestImageRecipe, 'v24.0.0');
  assert.match(hash, /^[0-9a-f]{16}$/);
  assert.is(recipeHash(structuredClone(guestImageRecipe), 'v24.0.0'), hash);
  assert.is.not(recipeHash(guestImageRecipe, 'v24.0.1'), hash);
  assert.is.not(recipeHash({ ...guestImageRecipe, imageMiB: 1 }, 'v24.0.0'), hash);
});

test('only the pinned packages come from testing, and at their pinned versions', () => {
  const preferences = aptPreferences(guestImageRecipe);
  assert.match(preferences, 'Package: *\nPin: release n=forky\nPin-Priority: 100\n');
  assert.match(preferences, 'Package: criu\nPin: version 4.2.1*\nPin-Priority: 990\n');
  assert.match(preferences, 'Package: crun\nPin: version 1.28*\nPin-Priority: 990\n');
});

test('init loads every module that the guest needs at boot', () => {
  assert.match(guestImageRecipe.initScript, `modprobe -a ${guestModules.join(' ')}\n`);
});

test('the mmdebstrap command line names suite, target and sources last', () => {
  const argv = mmdebstrapArgv(guestImageRecipe, {
    rootfs: '/d/rootfs',
    preferencesPath: '/d/preferences',
    kernelHookPath: '/d/hook',
    filesHookPath: '/d/files-hook',
    kernelDirectory: '/d/kernel',
    sourcesPath: '/d/sources.list',
    aptSettings: ['Acquire::Check-Date "false";'],
  });
  assert.equal(argv.slice(-3), ['trixie', '/d/rootfs', '/d/sources.list']);
  assert.ok(argv.includes('--aptopt=Acquire::Check-Date "false";'));
  assert.ok(
    argv.includes(
      '--customize-hook=/d/files-hook "$1" golang-github-containers-common usr/share/containers/seccomp.json',
    ),
  );
  assert.match(argv.find((arg) => arg.startsWith('--include='))!, /crun,criu,libcriu2/);
});

test.run();
