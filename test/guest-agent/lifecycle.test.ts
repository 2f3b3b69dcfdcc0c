/** Every verb on a container in every state: what OCI allows is done, all else names the state and changes nothing. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Life } from '../../guest-agent/life.ts';
import type { ContainerPhase } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import { type AgentWorld, createAgentWorld, makeCgroup } from '../helpers/agent-world.ts';
import { CONTAINER_SPEC } from '../helpers/container-spec.ts';
import { dumpRequest, RESUME, STOP } from '../helpers/dump-requests.ts';
import { rejection } from '../helpers/rejection.ts';
import { until } from '../helpers/until.ts';

const PHASES = ['created', 'running', 'paused', 'checkpointing', 'restoring', 'stopped'] as const;
const LIVES: Record<ContainerPhase, Life> = {
  created: { phase: 'created', pid: 4242 },
  running: { phase: 'running', pid: 4242 },
  paused: { phase: 'paused', pid: 4242 },
  checkpointing: { phase: 'checkpointing', pid: 4242, frozenAtMs: 0 },
  restoring: { phase: 'restoring' },
  stopped: { phase: 'stopped', exitCode: 3 },
};

interface Verb {
  act: (world: AgentWorld) => Promise<unknown>;
  allowed: readonly ContainerPhase[];
  /** Where it leads. Undefined: where it came from. */
  to?: ContainerPhase;
}

const VERBS: Record<string, Verb> = {
  start: { act: ({ agent }) => agent.containers.start('web'), allowed: ['created'], to: 'running' },
  kill: {
    act: ({ agent }) => agent.containers.kill('web', 'SIGTERM'),
    allowed: ['created', 'running', 'paused'],
  },
  pause: { act: ({ agent }) => agent.containers.pause('web'), allowed: ['running'], to: 'paused' },
  resume: { act: ({ agent }) => agent.containers.resume('web'), allowed: ['paused'], to: 'running' },
  recreate: {
    act: ({ agent }) => agent.containers.recreate(CONTAINER_SPEC),
    allowed: ['stopped'],
    to: 'created',
  },
  create: { act: ({ agent }) => agent.containers.create(CONTAINER_SPEC), allowed: [] },
  'pre-dump': { act: ({ agent }) => agent.checkpoints.preDump('web', dumpRequest()), allowed: ['running'] },
  checkpoint: { act: ({ agent }) => agent.checkpoints.begin('web', dumpRequest()), allowed: ['running'] },
  'resume after checkpoint of': {
    act: ({ agent }) => agent.checkpoints.finish('web', RESUME),
    allowed: ['checkpointing', 'running'],
    to: 'running',
  },
  'stop after checkpoint of': {
    act: ({ agent }) => agent.checkpoints.finish('web', STOP),
    allowed: ['checkpointing'],
    to: 'stopped',
  },
};
/** They need a peer that takes the dump, and have tests of their own. */
const DONE_ELSEWHERE = ['pre-dump', 'checkpoint'];

async function inPhase(phase: ContainerPhase): Promise<AgentWorld> {
  const world = await createAgentWorld('lifecycle');
  await world.agent.containers.create(CONTAINER_SPEC);
  const cgroup = makeCgroup(world, 'web');
  writeFileSync(join(cgroup, 'cgroup.kill'), '');
  world.agent.containers.enter(world.agent.containers.get('web'), LIVES[phase]);
  return world;
}

for (const [verb, { act, allowed, to }] of Object.entries(VERBS)) {
  for (const phase of PHASES.filter((found) => allowed.includes(found))) {
    if (DONE_ELSEWHERE.includes(verb)) continue;
    test(`${verb} a container that is ${phase} leaves it ${to ?? phase}`, async () => {
      const world = await inPhase(phase);
      const acting = act(world);
      if (to === 'stopped') world.leaveExit('web', 137);
      await acting;
      await until(
        `it is ${to ?? phase}`,
        () => world.agent.containers.inspect('web').phase === (to ?? phase),
      );
    });
  }
  for (const phase of PHASES.filter((found) => !allowed.includes(found))) {
    test(`${verb} a container that is ${phase} is refused and changes nothing`, async () => {
      const world = await inPhase(phase);
      const callsBefore = world.crunCalls().length;
      const eventsBefore = world.agent.events.since(0).length;
      const { message, code } = await rejection(act(world));
      if (verb === 'create') assert.is(code, 'already_exists');
      else {
        assert.is(code, 'invalid_state');
        assert.match(message, `${verb} container web: it is ${phase}, not `);
      }
      assert.is(world.agent.containers.get('web').life, LIVES[phase]);
      assert.is(world.crunCalls().length, callsBefore);
      assert.is(world.agent.events.since(0).length, eventsBefore);
    });
  }
}

test('of two that start a container at once, one is refused', async () => {
  const { agent } = await createAgentWorld('lifecycle');
  await agent.containers.create(CONTAINER_SPEC);
  const [first, second] = await Promise.allSettled([
    agent.containers.start('web'),
    agent.containers.start('web'),
  ]);
  assert.is(first?.status, 'fulfilled');
  assert.instance((second as PromiseRejectedResult).reason, OffloadError);
  assert.match(String(second?.status === 'rejected' && second.reason), /it is running, not created/);
});

test('SIGKILL ends a paused container at once; another signal waits for it to be resumed', async () => {
  const world = await inPhase('paused');
  await world.agent.containers.kill('web', 'SIGHUP');
  assert.is(world.crunCalls().at(-1), 'kill web 1');
  const calls = world.crunCalls().length;
  await world.agent.containers.kill('web', 'KILL');
  assert.is(world.crunCalls().length, calls);
  const { cgroup } = world.agent.containers.paths('web');
  assert.is(readFileSync(join(cgroup, 'cgroup.kill'), 'utf8'), '1');
});

test('a container that is created again has its new specification, and its old life when that fails', async () => {
  const world = await inPhase('stopped');
  const { containers } = world.agent;
  world.fail('conmon', '{"data": -1, "message": "crun: no such program"}');
  const spec = {
    ...CONTAINER_SPEC,
    command: ['/other'],
    volumes: [{ lun: 4, destination: '/d', readOnly: false }],
  };
  const error = await rejection(containers.recreate(spec));
  assert.match(error.message, /no such program/);
  assert.equal(containers.inspect('web'), {
    id: 'web',
    phase: 'stopped',
    address: '127.0.0.1/8',
    exitCode: 3,
  });
  assert.equal(containers.get('web').spec, CONTAINER_SPEC);
  assert.not(world.mounted.has('volume 4'));
  assert.ok(world.mounted.has('web'));
});

test('a container that ends while it is started has started first', async () => {
  const world = await createAgentWorld('lifecycle');
  await world.agent.containers.create(CONTAINER_SPEC);
  const starting = world.agent.containers.start('web');
  world.leaveExit('web', 1);
  await starting;
  await world.agent.containers.waitStopped('web');
  assert.equal(
    world.agent.events.since(0).map(({ event }) => event),
    ['created', 'started', 'exited'],
  );
});

test.run();
