/**
 * A plane process that is killed again and again in the middle of what it does, over a guest whose containers
 * go on and end meanwhile. After each start: nothing acknowledged is forgotten, nothing is done twice, every
 * end is told once and in order, ports are where they were, and what was cut off is finished or gone.
 * OFFLOAD_SEED repeats one world of rounds.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type FakeMachine, startFakeMachine } from '../helpers/fake-machine.ts';
import { claimPorts } from '../helpers/own-ports.ts';
import { placeImage } from '../helpers/placed-image.ts';
import { type Answer, PlaneProcess } from '../helpers/plane-process.ts';
import { type Draw, seeded } from '../helpers/seeded.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';
import { until } from '../helpers/until.ts';

const WORLDS = 2;
const ROUNDS = Number(process.env.OFFLOAD_KILL_ROUNDS ?? 50) / WORLDS;
/** Pieces between plane and agent after which the plane is killed, at most. */
const MAX_PIECES = 14;
const MAX_CONTAINERS = 4;
const STOPPED_BY_SIGNAL = 143;

interface Model {
  id: string;
  name: string;
  phase: string;
  exitCode?: number;
  hostPort: number;
  /** What the journal must say of it, in order. */
  events: string[];
}

interface Listed extends Omit<Model, 'hostPort' | 'events'> {
  ports: { hostPort: number }[];
}

interface World {
  draw: Draw;
  plane: PlaneProcess;
  machine: FakeMachine;
  /** By id. */
  models: Map<string, Model>;
  /** Of containers that are gone as well. */
  journal: Map<string, string[]>;
  made: number;
  nextPort: () => number;
}

/** One request with a key, and what it does to the model once it is answered. */
interface Step {
  method: 'POST' | 'DELETE';
  path: string;
  body?: object;
  apply(answer: Answer): void;
}

const pick = <T>(draw: Draw, from: readonly T[]): T => from[draw(from.length)]!;

function exits(model: Model, exitCode: number): void {
  model.phase = 'stopped';
  model.exitCode = exitCode;
  model.events.push(`exited ${exitCode}`);
}

function createStep(world: World): Step {
  world.made += 1;
  const name = `c${world.made}`;
  return {
    method: 'POST',
    path: '/v1/containers',
    body: {
      name,
      guest: 'guest-a',
      image: 'redis',
      ports: [{ containerPort: 80, hostPort: world.nextPort() }],
    },
    apply({ body: { id, ports } }) {
      const events = ['created'];
      world.journal.set(id, events);
      world.models.set(id, { id, name, phase: 'created', hostPort: ports[0].hostPort, events });
    },
  };
}

function verbStep(world: World, model: Model): Step {
  const { id, events } = model;
  const post = (verb: string, apply: () => void, body: object = {}): Step => ({
    method: 'POST',
    path: `/v1/containers/${id}/${verb}`,
    body,
    apply,
  });
  const become =
    (phase: string, ...told: string[]) =>
    () => {
      model.phase = phase;
      events.push(...told);
    };
  const newName = `${model.name}x`;
  const rename = post(
    'rename',
    () => {
      model.name = newName;
    },
    { name: newName },
  );
  const remove: Step = {
    method: 'DELETE',
    path: `/v1/containers/${id}?force=true`,
    apply() {
      events.push('removed');
      world.models.delete(id);
    },
  };
  const stop = post('stop', () => exits(model, STOPPED_BY_SIGNAL));
  const restart = post('restart', () => {
    exits(model, STOPPED_BY_SIGNAL);
    become('running', 'recreated', 'started')();
  });
  switch (model.phase) {
    case 'created':
      return pick(world.draw, [post('start', become('running', 'started')), rename, remove]);
    case 'running':
      return pick(world.draw, [
        post('pause', become('paused', 'paused')),
        stop,
        stop,
        restart,
        rename,
        remove,
      ]);
    case 'paused':
      return pick(world.draw, [post('resume', become('running', 'resumed')), remove]);
    default:
      return pick(world.draw, [
        post('start', become('running', 'recreated', 'started')),
        post('start', become('running', 'recreated', 'started')),
        rename,
        remove,
      ]);
  }
}

function nextStep(world: World): Step {
  const { draw, models } = world;
  if (models.size === 0 || (models.size < MAX_CONTAINERS && draw(3) === 0)) return createStep(world);
  return verbStep(world, pick(draw, [...models.values()]));
}

/** Sends requests until the plane is killed; gives the one that was not answered. */
async function untilKilled(world: World, round: number): Promise<{ step: Step; key: string } | undefined> {
  const { draw, plane, machine } = world;
  let left = 1 + draw(MAX_PIECES);
  machine.onPiece = () => {
    left -= 1;
    if (left === 0) plane.kill();
  };
  for (let number = 0; ; number += 1) {
    const step = nextStep(world);
    const key = `round-${round}-${number}`;
    try {
      const answer = await plane.send(step.method, step.path, step.body, key);
      assert.ok(answer.status < 300, `${step.path}: ${JSON.stringify(answer.body)}`);
      step.apply(answer);
    } catch (error) {
      if (left > 0 || error instanceof assert.Assertion) throw error;
      return { step, key };
    } finally {
      // A rename and the like need no agent.
      if (number === 20) plane.kill();
      if (number === 20) left = 0;
    }
  }
}

/** Containers end while nobody looks. */
function endSome({ draw, machine, models }: World, spared: Set<string>): void {
  for (const model of models.values()) {
    if (model.phase !== 'running' || spared.has(model.id) || draw(3) > 0) continue;
    const exitCode = draw(4);
    machine.world.leaveExit(model.id, exitCode);
    exits(model, exitCode);
  }
}

/** DELETE knows no key: whether it was done shows in what is there. */
async function sendAgain({ plane }: World, { step, key }: { step: Step; key: string }): Promise<void> {
  const answer = await plane.send(step.method, step.path, step.body, key);
  const isGone = step.method === 'DELETE' && answer.status === 404;
  assert.ok(answer.status < 300 || isGone, `${key} ${step.path} again: ${JSON.stringify(answer.body)}`);
  step.apply(answer);
}

async function check(world: World): Promise<void> {
  const { plane, machine, models } = world;
  const expected = [...models.values()]
    .map(({ id, name, phase, exitCode, hostPort }) => ({ id, name, phase, exitCode, hostPort }))
    .sort((a, b) => a.id.localeCompare(b.id));
  const listed = async () =>
    (await plane.send('GET', '/v1/containers')).body.items.map(
      ({ id, name, phase, exitCode, ports }: Listed) => ({
        ...{ id, name, phase, exitCode: phase === 'stopped' ? exitCode : undefined },
        hostPort: ports[0]?.hostPort,
      }),
    );
  for (const model of expected) if (model.phase !== 'stopped') model.exitCode = undefined;
  let last: unknown;
  await until('the containers as the model has them', async () => {
    last = await listed();
    return JSON.stringify(last) === JSON.stringify(expected);
  }).catch(() => assert.equal(last, expected));
  assert.equal(
    machine.world.agent.containers
      .list()
      .map(({ id }) => id)
      .sort(),
    expected.map(({ id }) => id),
    'the guest has them and no others',
  );
  const { body: events } = await plane.send('GET', '/v1/events?since=0&follow=false');
  for (const [id, told] of world.journal) {
    const seen = events
      .filter(({ container }: { container?: string }) => container === id)
      .map(({ event, exitCode }: { event: string; exitCode?: number }) =>
        exitCode === undefined ? event : `${event} ${exitCode}`,
      );
    assert.equal(seen, told, `the events of ${id}`);
  }
  assertOnce(world);
}

/** What the guest's programs were asked for: each thing as often as the journal says. */
function assertOnce({ machine, journal }: World): void {
  const calls = machine.world.crunCalls();
  const conmon = readFileSync(join(machine.world.directory, 'conmon.log'), 'utf8').split('\n');
  for (const [id, told] of journal) {
    const count = (event: string) => told.filter((name) => name === event).length;
    const made = conmon.filter((line) => line.includes(id)).length;
    assert.is(made, count('created') + count('recreated'), `${id} was made`);
    assert.is(calls.filter((line) => line === `start ${id}`).length, count('started'), `${id} was started`);
    assert.is(calls.filter((line) => line === `pause ${id}`).length, count('paused'), `${id} was paused`);
    const ended = count(`exited ${STOPPED_BY_SIGNAL}`);
    assert.is(calls.filter((line) => line === `kill ${id} 15`).length, ended, `${id} was told to end`);
  }
}

async function liveThrough(seed: number): Promise<void> {
  const directory = tempDirectory('kill-and-adopt');
  const machine = await startFakeMachine('guest-a');
  const plane = new PlaneProcess(directory);
  placeImage(join(plane.store, 'images'));
  writeFileSync(join(machine.world.directory, 'die-of-15'), '');
  const world: World = {
    ...{ draw: seeded(seed), plane, machine, models: new Map(), journal: new Map(), made: 0 },
    nextPort: await claimPorts(),
  };
  try {
    await plane.start();
    await plane.send('POST', '/v1/guests', machine.registration);
    for (let round = 0; round < ROUNDS; round += 1) {
      try {
        const cutOff = await untilKilled(world, round);
        machine.onPiece = undefined;
        await plane.ended();
        endSome(
          world,
          new Set(cutOff ? [...world.models.keys()].filter((id) => cutOff.step.path.includes(id)) : []),
        );
        await plane.start();
        if (cutOff) await sendAgain(world, cutOff);
        await check(world);
      } catch (error) {
        (error as Error).message = `OFFLOAD_SEED=${seed}, round ${round}: ${(error as Error).message}`;
        throw error;
      }
    }
  } finally {
    plane.kill();
    await plane.ended();
    machine.close();
  }
}

test('a plane that is killed at any point takes up where it was, and forgets and repeats nothing', async () => {
  const chosen = process.env.OFFLOAD_SEED;
  const seeds = chosen === undefined ? Array.from({ length: WORLDS }, (_, i) => i) : [Number(chosen)];
  await Promise.all(seeds.map(liveThrough));
});

test.run();
