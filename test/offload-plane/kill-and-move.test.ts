/**
 * A plane over two guests that is killed while containers are checkpointed, restored and moved, several at once.
 * After each start: what was told is so, nothing is there twice or half, and nothing is left of what was under way.
 * OFFLOAD_SEED repeats one world of rounds; OFFLOAD_KILL_TOLD shows each answer.
 */
import { createServer } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkQuiet } from '../helpers/killed-plane/checks.ts';
import { liveThroughRound } from '../helpers/killed-plane/rounds.ts';
import {
  endKilledPlane,
  type KilledPlane,
  startKilledPlane,
  VOLUMES,
} from '../helpers/killed-plane/world.ts';
import { until } from '../helpers/until.ts';

const WORLDS = 2;
const ROUNDS = Number(process.env.OFFLOAD_KILL_ROUNDS ?? 24) / WORLDS;
/** What has to have come to its end once, in any world; on a slow machine that takes more rounds. */
const KINDS = ['checkpoint, then stop', 'checkpoint, then resume', 'restore', 'drain'];
const MAX_ROUNDS = 4 * ROUNDS;

/** Everything that there is goes, and what it held can be had again. */
async function removeAll(world: KilledPlane): Promise<void> {
  const { plane, machines, models, checkpoints, ports } = world;
  const remove = (path: string) =>
    until(`the end of ${path}`, async () => (await plane.send('DELETE', path)).status === 204);
  for (const { id } of models.values()) await remove(`/v1/containers/${id}?force=true`);
  for (const id of checkpoints.keys()) await remove(`/v1/checkpoints/${id}`);
  models.clear();
  checkpoints.clear();
  await checkQuiet(world);
  for (const name of VOLUMES) await remove(`/v1/volumes/${name}`);
  for (const { qemu, world: guest } of machines) {
    assert.equal(
      [...qemu.disks.values()].filter(({ readOnly }) => !readOnly),
      [],
    );
    assert.equal([...guest.mounted], []);
  }
  for (const port of ports) await expectFree(port);
}

function expectFree(port: number): Promise<void> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => server.close(() => resolve()));
  });
}

/** @param missing of the kinds; what comes to its end is taken out */
async function liveThrough(seed: number, missing: Set<string>): Promise<KilledPlane['counts']> {
  const world = await startKilledPlane(seed);
  let round = 0;
  try {
    for (; round < ROUNDS || (missing.size > 0 && round < MAX_ROUNDS); round += 1) {
      await liveThroughRound(world, round);
      await checkQuiet(world);
      for (const kind of world.counts.done.keys()) missing.delete(kind);
    }
    await removeAll(world);
    return world.counts;
  } catch (error) {
    (error as Error).message = `OFFLOAD_SEED=${seed}, round ${round}: ${(error as Error).message}`;
    throw error;
  } finally {
    await endKilledPlane(world);
  }
}

test('a plane that is killed while it checkpoints, restores and moves leaves all of it whole, undone or done', async () => {
  const chosen = process.env.OFFLOAD_SEED;
  const seeds = chosen === undefined ? Array.from({ length: WORLDS }, (_, i) => i) : [Number(chosen)];
  const missing = new Set(KINDS);
  const worlds = await Promise.all(seeds.map((seed) => liveThrough(seed, missing)));
  for (const { done, refused } of worlds) {
    console.log(`done: ${JSON.stringify([...done])}; refused: ${JSON.stringify([...refused])}`);
  }
  assert.equal([...missing], [], 'was done nowhere');
});

test.run();
