import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import tar from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { containerPaths } from '../../guest-agent/paths.ts';
import { processNamed } from '../../guest-agent/process-name.ts';
import { runProgram } from '../../guest-agent/run-program.ts';
import { type AgentWorld, createAgentWorld } from '../helpers/agent-world.ts';
import { CONTAINER_SPEC } from '../helpers/container-spec.ts';
import { dumpRequest, PATIENT_MS, TOKEN } from '../helpers/dump-requests.ts';
import { rejection } from '../helpers/rejection.ts';
import { until } from '../helpers/until.ts';

const REQUEST = {
  spec: CONTAINER_SPEC,
  token: 'cd'.repeat(32),
  lazyPages: true,
  hold: false,
  deadlineMs: PATIENT_MS,
};

async function images(rootfsDiff?: Buffer): Promise<Readable> {
  const pack = tar.pack();
  pack.entry({ name: 'images/core-1.img' }, 'core');
  if (rootfsDiff) pack.entry({ name: 'rootfs-diff.tar' }, rootfsDiff);
  pack.finalize();
  return Readable.from(pack);
}

/** Neither files nor processes of the restore are left. */
async function assertNothingLeft(world: AgentWorld): Promise<void> {
  const own = containerPaths(world.paths, 'web');
  assert.equal(world.agent.containers.list(), []);
  assert.not(existsSync(own.bundle));
  assert.is(world.mounted.size, 0);
  assert.is(world.attached.size, 0);
}

test('a restore starts the pager with the token, then conmon with the images, and the container runs', async () => {
  const world = await createAgentWorld('restore');
  const own = containerPaths(world.paths, 'web');
  mkdirSync(join(world.directory, 'changes'));
  writeFileSync(join(world.directory, 'changes', 'file'), 'changed');
  const diff = join(world.directory, 'diff.tar');
  await runProgram('tar', ['-cf', diff, '-C', join(world.directory, 'changes'), '.']);

  await world.agent.restores.putImages('web', await images(readFileSync(diff)));
  const result = await world.agent.restores.restore(REQUEST);
  assert.ok(result.preparedMs <= result.pagerReadyMs && result.pagerReadyMs <= result.runningMs);
  assert.equal(world.agent.containers.inspect('web').phase, 'running');
  assert.is(readFileSync(join(own.upper, 'file'), 'utf8'), 'changed');
  assert.match(readFileSync(own.criuConfig, 'utf8'), /^lazy-pages$/m);
  assert.match(
    readFileSync(join(world.directory, 'conmon.log'), 'utf8'),
    new RegExp(`--restore ${own.restoreImages}`),
  );
  assert.match(
    readFileSync(join(world.directory, 'pager.log'), 'utf8'),
    new RegExp(`--token-file ${own.tokenFile} `),
  );
  assert.not(existsSync(own.tokenFile), 'the token is used up');
  assert.not(existsSync(own.restoreImages));
  assert.equal(
    world.agent.events.since(0).map(({ event }) => event),
    ['restored'],
  );
  await world.agent.containers.remove('web');
  await assertNothingLeft(world);
});

test('a container whose pages are still on their way is not checkpointed: CRIU would leave them out', async () => {
  const world = await createAgentWorld('restore');
  await world.agent.restores.putImages('web', await images());
  await world.agent.restores.restore(REQUEST);
  for (const error of [
    await rejection(world.agent.checkpoints.begin('web', dumpRequest())),
    await rejection(world.agent.checkpoints.preDump('web', { token: TOKEN, deadlineMs: PATIENT_MS })),
  ]) {
    assert.is(error.code, 'invalid_state');
    assert.match(error.message, /container web: pages of its restore are still on their way$/);
  }
  assert.is(world.agent.containers.inspect('web').phase, 'running');
  assert.equal(world.crunCalls(), []);
  await world.agent.containers.remove('web');
});

test('a restore without images is refused before anything is made', async () => {
  const world = await createAgentWorld('restore');
  const error = await rejection(world.agent.restores.restore(REQUEST));
  assert.is(error.code, 'invalid_state');
  assert.is(error.message, 'restore container web: its images were not sent first');
  assert.not(existsSync(join(world.directory, 'pager.log')));
});

test("a restore over a container's name leaves that container as it is", async () => {
  const world = await createAgentWorld('restore');
  await world.agent.containers.create(CONTAINER_SPEC);
  const own = containerPaths(world.paths, 'web');
  await world.agent.restores.putImages('web', await images());
  const error = await rejection(world.agent.restores.restore(REQUEST));
  assert.is(error.code, 'already_exists');
  assert.is(world.agent.containers.inspect('web').phase, 'created');
  assert.ok(existsSync(own.config));
  assert.ok(existsSync(own.upper));
});

test('a pager that fails ends the restore with its own words and leaves nothing', async () => {
  const world = await createAgentWorld('restore');
  world.fail('pager', 'the plane refused the token');
  await world.agent.restores.putImages('web', await images());
  const error = await rejection(world.agent.restores.restore(REQUEST));
  assert.is(error.code, 'runtime_failed');
  assert.is(error.message, 'pager: the plane refused the token');
  await assertNothingLeft(world);
  assert.not(existsSync(join(world.directory, 'conmon.log')), 'CRIU never ran');
});

test('a container that is deleted while its files are still being unpacked does not come to life later', async () => {
  const world = await createAgentWorld('restore');
  const own = containerPaths(world.paths, 'web');
  const unpacking = join(world.directory, 'unpacking');
  const parked = `#!/bin/sh\n: > ${unpacking}\nwhile [ -e ${unpacking} ]; do sleep 0.01; done\n`;
  writeFileSync(join(world.paths.programDirectory, 'tar'), parked, { mode: 0o755 });
  await world.agent.restores.putImages('web', await images(Buffer.alloc(1_024)));
  const restored = rejection(world.agent.restores.restore(REQUEST));
  await until('tar', () => existsSync(unpacking));
  // Nobody knows it yet, and a plane that asks now takes it for gone.
  assert.is((await rejection(world.agent.containers.remove('web'))).code, 'not_found');
  rmSync(unpacking);
  const error = await restored;
  assert.is(error.code, 'invalid_state');
  assert.is(error.message, 'restore container web: it was deleted meanwhile');
  await assertNothingLeft(world);
  assert.not(existsSync(own.data));
  assert.not(existsSync(join(world.directory, 'conmon.log')), 'CRIU never ran');
});

test('a container that is deleted in the middle of its restore leaves nothing', async () => {
  const world = await createAgentWorld('restore');
  writeFileSync(join(world.directory, 'hang-pager'), '');
  await world.agent.restores.putImages('web', await images());
  const restoring = rejection(world.agent.restores.restore(REQUEST));
  await until('the container', () => world.agent.containers.list().length === 1);
  await world.agent.containers.remove('web');
  assert.match((await restoring).message, /pager/);
  await assertNothingLeft(world);
});

test("a restore that CRIU fails ends the pager, leaves nothing and says CRIU's reason", async () => {
  const world = await createAgentWorld('restore');
  const own = containerPaths(world.paths, 'web');
  await world.agent.restores.putImages('web', await images());
  writeFileSync(join(own.bundle, 'restore.log'), '(00.2) Error (criu/tty.c:9): no such terminal\n');
  world.fail('conmon', '{"data": -1, "message": "crun: restore failed"}');
  const error = await rejection(world.agent.restores.restore(REQUEST));
  assert.is(error.message, 'restore container web: Error (criu/tty.c:9): no such terminal');
  await assertNothingLeft(world);
  assert.is(processNamed(Number(readFileSync(join(world.directory, 'pager.pid'), 'utf8'))), undefined);
});

test('a root filesystem change that does not unpack leaves nothing', async () => {
  const world = await createAgentWorld('restore');
  const own = containerPaths(world.paths, 'web');
  await world.agent.restores.putImages('web', await images(Buffer.from('no tar at all')));
  assert.is((await rejection(world.agent.restores.restore(REQUEST))).code, 'runtime_failed');
  await assertNothingLeft(world);
  assert.not(existsSync(own.data));
});

test('what was sent for a restore that never began goes with a delete, also while it is still being sent', async () => {
  const world = await createAgentWorld('restore');
  const own = containerPaths(world.paths, 'web');
  await world.agent.restores.putImages('web', await images(Buffer.from('changes')));
  assert.ok(existsSync(own.restoreImages) && existsSync(own.restoreRootfsDiff));
  const paused = tar.pack();
  paused.entry({ name: 'images/core-2.img' }, 'core');
  for (const sending of [undefined, paused]) {
    const sent = sending && world.agent.restores.putImages('web', Readable.from(sending));
    const removed = rejection(world.agent.containers.remove('web'));
    sending?.finalize();
    await sent;
    assert.is((await removed).code, 'not_found');
    assert.not(existsSync(own.bundle));
    assert.not(existsSync(own.data));
  }
  assert.equal(world.agent.events.since(0), []);
});

test.run();
