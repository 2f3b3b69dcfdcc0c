import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AGENT_API_VERSION } from '../../../interconnect/agent-api.ts';
import { DUMP_PORT, PAGE_PORT } from '../../../interconnect/page-protocol.ts';
import { NO_OBSERVER } from '../../../offload-plane/guests/agent-observer.ts';
import { createGuests, type Guests } from '../../../offload-plane/guests/guests.ts';
import { type FakeMachine, startFakeMachine } from '../../helpers/fake-machine.ts';
import { rejection } from '../../helpers/rejection.ts';
import { openState } from '../../helpers/state.ts';
import { until } from '../../helpers/until.ts';

/** How long a guest may take to be reached, and to be out of reach: a machine that is busy makes one wait. */
const PATIENT = { connectTimeoutMs: 60_000, lostAfterMs: 60_000 };

async function withMachine(
  body: (world: World) => Promise<void>,
  patience: Partial<typeof PATIENT> = {},
): Promise<void> {
  const machine = await startFakeMachine('guest-a');
  const seen: string[] = [];
  const dialled: Duplex[] = [];
  const note = (what: string) => (socket: Duplex, guest: string) => {
    dialled.push(socket);
    seen.push(`${what} of ${guest}`);
  };
  const state = openState();
  const open = () =>
    createGuests({
      ...state,
      newRequestId: () => randomBytes(8).toString('hex'),
      onPager: note('pager'),
      onDump: note('dump'),
      onEvent: ({ container, event }, guest) => void seen.push(`${container} ${event} in ${guest}`),
      onPhase: ({ phase }) => void seen.push(phase),
      onCaughtUp: () => {},
      onNewInstance: (guest) => void seen.push(`${guest} is another`),
      observer: {
        ...NO_OBSERVER,
        reconnected: (guest) => void seen.push(`${guest} reconnected`),
        agentRestarted: (guest) => void seen.push(`agent of ${guest} restarted`),
      },
      ...PATIENT,
      ...patience,
    });
  const world: World = { machine, guests: open(), seen, reopen: open };
  try {
    await body(world);
  } finally {
    for (const socket of dialled) socket.destroy();
    await world.guests.close();
    machine.close();
    state.database.close();
  }
}

interface World {
  machine: FakeMachine;
  guests: Guests;
  seen: string[];
  /** As the plane that comes after. */
  reopen: () => Guests;
}

test('a registered guest has told of itself, and its slowness scales deadlines within bounds', async () => {
  await withMachine(async ({ machine, guests }) => {
    const guest = await guests.register(machine.registration);
    assert.is(guest.health.crun, '1.28');
    assert.ok(guest.deadlineScale >= 1 && guest.deadlineScale <= 30);
    assert.is(guests.get('guest-a'), guest);
    assert.equal(guests.list(), [guest]);
    assert.not(guest.lost);
  });
});

test('what a guest dials arrives with the name of the guest whose socket it came from', async () => {
  await withMachine(async ({ machine, guests, seen }) => {
    await guests.register(machine.registration);
    const [pager, dump] = [await machine.dial(PAGE_PORT), await machine.dial(DUMP_PORT)];
    await until('both', () => seen.length === 3);
    assert.equal(seen.sort(), ['dump of guest-a', 'pager of guest-a', 'ready']);
    pager.destroy();
    dump.destroy();
  });
});

test("events of the guest's containers are passed on", async () => {
  await withMachine(async ({ machine, guests, seen }) => {
    machine.world.agent.events.emit({ container: 'web', event: 'started' });
    await guests.register(machine.registration);
    machine.world.agent.events.emit({ container: 'web', event: 'exited', exitCode: 1 });
    await until('both', () => seen.length === 3);
    assert.equal(seen, ['ready', 'web started in guest-a', 'web exited in guest-a']);
  });
});

test('a taken name is refused, also while its guest is being reached', async () => {
  await withMachine(async ({ machine, guests }) => {
    const first = guests.register(machine.registration);
    assert.is((await rejection(guests.register(machine.registration))).code, 'already_exists');
    await first;
    const error = await rejection(guests.register(machine.registration));
    assert.is(error.message, 'register guest guest-a: the name is taken');
  });
});

test('a guest that is not reached within the deadline is not registered and may be tried again', async () => {
  const impatient = { connectTimeoutMs: 500 };
  await withMachine(async ({ machine, guests, seen, reopen }) => {
    const elsewhere = { ...machine.registration, vsockPath: `${machine.registration.vsockPath}-none` };
    // Where the machine stood still, it was not even dialled within the deadline.
    await until('a refusal that says why', async () => {
      const error = await rejection(guests.register(elsewhere));
      assert.is(error.code, 'deadline_exceeded');
      assert.match(error.message, /^register guest guest-a: reach its agent: not within 500 ms/);
      return / \(dial guest port 1024: .*\)$/.test(error.message);
    });
    assert.is(guests.find('guest-a'), undefined);
    assert.not(existsSync(`${elsewhere.vsockPath}_${PAGE_PORT}`), 'nobody listens for it any more');
    assert.equal(seen, []);
    impatient.connectTimeoutMs = PATIENT.connectTimeoutMs;
    const patient = reopen();
    await patient.register(machine.registration);
    await patient.close();
  }, impatient);
});

test('a guest whose QMP socket is missing is not registered', async () => {
  await withMachine(async ({ machine, guests }) => {
    const error = await rejection(guests.register({ ...machine.registration, qmpPath: '/nowhere/qmp' }));
    assert.is(error.code, 'guest_lost');
    assert.equal(guests.list(), []);
    await guests.register(machine.registration);
  });
});

test('a guest whose connection breaks is dialled again; its calls wait and are done once', async () => {
  await withMachine(async ({ machine, guests, seen }) => {
    const guest = await guests.register(machine.registration);
    machine.hangUp();
    await until('the break', () => seen.includes('unreachable'));
    const health = await guest.agent.call('health', undefined, { timeoutMs: 60_000 });
    assert.is(health.instanceId, guest.health.instanceId);
    assert.equal(seen, ['ready', 'unreachable', 'guest-a reconnected', 'ready']);
  });
});

test('a guest that hangs up again and again is dialled less and less, and costs few events', async () => {
  await withMachine(async ({ machine, guests, seen }) => {
    const { agent } = machine.world;
    const health = agent.health;
    // As soon as it has told of itself.
    agent.health = async () => {
      setTimeout(() => machine.hangUp(), 20);
      return health();
    };
    const registering = guests.register(machine.registration);
    await registering.catch(() => undefined);
    const connections = () => seen.filter((what) => what === 'ready').length;
    const startMs = performance.now();
    await until('some of them', () => connections() >= 5 || performance.now() - startMs > 3_000);
    const passedMs = performance.now() - startMs;
    assert.ok(passedMs > 600, `${connections()} connections within ${passedMs} ms`);
  });
});

test('an agent that was started anew is told from one that was only cut off, by the next plane as well', async () => {
  await withMachine(async ({ machine, guests, seen, reopen }) => {
    await guests.register(machine.registration);
    const { agent } = machine.world;
    const health = agent.health;
    agent.health = async () => ({ ...(await health()), startId: 'second' });
    machine.hangUp();
    await until('the connection', () => seen.at(-1) === 'ready' && seen.length > 1);
    assert.equal(seen.splice(0), [
      ...['ready', 'unreachable', 'guest-a reconnected', 'agent of guest-a restarted', 'ready'],
    ]);
    await guests.close();
    agent.health = async () => ({ ...(await health()), startId: 'third' });
    const next = reopen();
    await next.adopt();
    await until('the adoption', () => seen.includes('ready'));
    assert.equal(seen, ['agent of guest-a restarted', 'ready']);
    await next.close();
  });
});

test('events of the time without a connection come once and in order', async () => {
  await withMachine(async ({ machine, guests, seen }) => {
    const { events } = machine.world.agent;
    await guests.register(machine.registration);
    for (let round = 0; round < 5; round += 1) {
      events.emit({ container: `a${round}`, event: 'started' });
      machine.hangUp();
      events.emit({ container: `b${round}`, event: 'started' });
    }
    const told = () => seen.filter((line) => line.includes('started'));
    await until('all of them', () => told().length === 10);
    assert.equal(
      told(),
      [0, 1, 2, 3, 4].flatMap((round) => [`a${round} started in guest-a`, `b${round} started in guest-a`]),
    );
  });
});

test('a guest is lost at once when its QEMU hangs up, and after the deadline when only its agent is gone', async () => {
  for (const [end, lostAfterMs] of [
    [(machine: FakeMachine) => machine.qemu.close(), PATIENT.lostAfterMs],
    [(machine: FakeMachine) => machine.stopAgent(), 300],
  ] as const) {
    await withMachine(
      async ({ machine, guests, seen }) => {
        const guest = await guests.register(machine.registration);
        end(machine);
        await until('the loss', () => seen.includes('lost'));
        assert.ok(guest.lost);
        const error = await rejection(guest.agent.call('health', undefined, { timeoutMs: 1_000 }));
        assert.is(error.code, 'guest_lost');
        assert.is(guests.get('guest-a'), guest, 'it stays until it is forgotten');
      },
      { lostAfterMs },
    );
  }
});

test('the next plane knows the guest, its cordon and which events it has seen, and finds another instance out', async () => {
  await withMachine(async (world) => {
    const { machine, seen } = world;
    await world.guests.register(machine.registration);
    machine.world.agent.events.emit({ container: 'web', event: 'started' });
    await until('the event', () => seen.length === 2);
    world.guests.cordon('guest-a');
    await world.guests.close();
    machine.world.agent.events.emit({ container: 'web', event: 'exited', exitCode: 0 });
    seen.length = 0;
    world.guests = world.reopen();
    await world.guests.adopt();
    await until('the new event', () => seen.length === 2);
    assert.equal(seen, ['ready', 'web exited in guest-a']);
    assert.ok(world.guests.get('guest-a').cordoned);
    await world.guests.close();
    machine.reboot();
    seen.length = 0;
    world.guests = world.reopen();
    await world.guests.adopt();
    await until('the other instance', () => seen.includes('guest-a is another'));
  });
});

test('an agent of another version is refused, both versions named, and its guest is not registered', async () => {
  await withMachine(async ({ machine, guests }) => {
    const { health } = machine.world.agent;
    machine.world.agent.health = async () => ({ ...(await health()), apiVersion: 1 });
    const error = await rejection(guests.register(machine.registration));
    assert.is(error.code, 'version_mismatch');
    assert.is(
      error.message,
      `register guest guest-a: its agent speaks version 1 of the agent's API, this plane version ${AGENT_API_VERSION}`,
    );
    assert.equal(guests.list(), []);
  });
});

test('a forgotten guest is lost to whoever has something in it, and its name is free', async () => {
  await withMachine(async ({ machine, guests, seen }) => {
    await guests.register(machine.registration);
    await guests.unregister('guest-a');
    assert.equal(seen, ['ready', 'lost']);
    assert.is((await rejection((async () => guests.get('guest-a'))())).code, 'not_found');
    assert.is((await rejection(guests.unregister('guest-a'))).code, 'not_found');
    assert.not(existsSync(`${machine.registration.vsockPath}_${PAGE_PORT}`), 'nobody listens for it');
    await guests.register(machine.registration);
  });
});

test.run();
