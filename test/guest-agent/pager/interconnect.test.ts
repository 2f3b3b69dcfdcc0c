/** The way to the plane breaks in the middle of real restores; PAGER_CUT_SEEDS says how often it breaks at random. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { createPageServer } from '../../../offload-plane/page-server/server.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { criuTest } from '../../helpers/criu-test.ts';
import {
  type NativeRestore,
  type NativeRestoreOptions,
  sharedCheckpoint,
  startRestore,
} from '../../helpers/native-restore.ts';
import { seeded, seedsOf } from '../../helpers/seeded.ts';
import { test } from '../../helpers/suite.ts';

const DEADLINE_MS = 180_000;
/** The pager's, where it waits for what never comes; CRIU begins before. */
const IMPATIENT_MS = 10_000;
const checkpoint = sharedCheckpoint(32, 3);
let restoreCount = 0;

/** One connection on its way from the pager to the plane. */
class Wire {
  readonly #socket: Socket;
  readonly #planeSide: Duplex;
  #stalled = false;

  constructor(socket: Socket, serve: (stream: Duplex) => void) {
    this.#socket = socket;
    this.#planeSide = new Duplex({
      read: () => {},
      write: (chunk, _encoding, done) => this.#stalled || socket.write(chunk, done),
      final: (done) => this.#stalled || socket.end(done),
      destroy: (error, done) => {
        socket.destroy();
        done(error);
      },
    });
    socket.on('data', (chunk) => this.#stalled || this.#planeSide.push(chunk));
    socket.on('end', () => this.#planeSide.push(null));
    socket.on('close', () => this.#planeSide.destroy());
    serve(this.#planeSide);
  }

  /** Nothing arrives any more, in either direction, and nobody is told. */
  stall(): void {
    this.#stalled = true;
    this.#socket.pause();
  }
}

interface World {
  native: NativeRestore;
  wires: Wire[];
  /** Connections from this one on, and before that one, are accepted and never answered. */
  stallFrom(connection: number, to?: number): void;
  /** Fails when the restore does not end whole. */
  expectWhole(answers: Promise<string[]>): Promise<void>;
  expectDead(reason: RegExp, answer: Promise<string>): Promise<void>;
  /** CRIU is done and the program runs. */
  running(): Promise<void>;
}

function wireTest(
  title: string,
  body: (world: World) => Promise<void>,
  options: Partial<NativeRestoreOptions> = {},
): void {
  criuTest(title, () => inWorld(body, options));
}

async function inWorld(
  body: (world: World) => Promise<void>,
  options: Partial<NativeRestoreOptions>,
): Promise<void> {
  const wires: Wire[] = [];
  let stalled = { from: Infinity, to: Infinity };
  const native = await startRestore({
    checkpoint: checkpoint(),
    name: `restore-${restoreCount++}`,
    accept: (socket, serve) => {
      const wire = new Wire(socket, serve);
      wires.push(wire);
      if (wires.length >= stalled.from && wires.length < stalled.to) wire.stall();
    },
    ...options,
  });
  const ended = () => withDeadline(native.pager.ended, DEADLINE_MS, 'end of the pager');
  try {
    await body({
      native,
      wires,
      stallFrom: (from, to = Infinity) => {
        stalled = { from, to };
      },
      running: async () => assert.is((await native.restored).exitCode, 0),
      expectWhole: async (answers) => {
        const given = JSON.stringify(await answers);
        const { exitCode, stderr } = await ended();
        assert.is(exitCode, 0, `${given}: ${stderr}`);
        assert.not.match(given, /wrong|no answer/);
        assert.ok((await native.session.done).memoryVerified);
      },
      expectDead: async (reason, answer) => {
        const given = await answer;
        const { exitCode, stderr } = await ended();
        assert.match(given, /no answer/, `${given}: ${stderr}`);
        assert.is(exitCode, 1);
        assert.match(stderr, reason);
      },
    });
  } finally {
    await native.end();
  }
}

/** A lazy restore whose fill waits: its pages come only as the program asks for them. */
const asking = { session: { faultsDryUpMs: 600_000 } };
const impatient = { ...asking, pagerArgs: ['--deadline-ms', String(IMPATIENT_MS)] };

wireTest(
  'a connection that stalls is given up for a new one within seconds, however long the deadline, and the restore ends whole',
  async (world) => {
    const { native, wires } = world;
    await world.running();
    wires[0]!.stall();
    const walk = native.ask('walk');
    native.session.startFill();
    await world.expectWhole(Promise.all([walk]));
    assert.ok(native.plane.connectionCount > 1);
  },
  asking,
);

wireTest(
  'a connection that is accepted and never answered is given up for a new one',
  async (world) => {
    const { native } = world;
    await world.running();
    world.stallFrom(2, 3);
    native.plane.cut();
    const walk = native.ask('walk');
    native.session.startFill();
    await world.expectWhole(Promise.all([walk]));
    assert.ok(native.plane.connectionCount > 2);
  },
  { ...asking, pagerArgs: ['--deadline-ms', '15000'] },
);

wireTest(
  'a plane that nobody reaches for a while is found again',
  async (world) => {
    const { native } = world;
    await world.running();
    native.plane.die();
    const walk = native.ask('walk');
    await delay(500);
    native.plane.revive();
    native.session.startFill();
    await world.expectWhole(Promise.all([walk]));
  },
  asking,
);

wireTest(
  'a plane that never comes back ends the container by the deadline',
  async (world) => {
    const { native } = world;
    await world.running();
    native.plane.die();
    await world.expectDead(/connect to the plane|none came within \d+ ms/, native.ask('walk'));
  },
  impatient,
);

wireTest(
  'an interconnect that stalls for good ends the container by the deadline',
  async (world) => {
    const { native, wires } = world;
    await world.running();
    world.stallFrom(2);
    wires[0]!.stall();
    await world.expectDead(/none came within \d+ ms/, native.ask('walk'));
  },
  impatient,
);

let restarted = false;
wireTest(
  'a plane that was started again knows no session: the container is ended and says so',
  async (world) => {
    const { native } = world;
    await world.running();
    native.plane.die();
    restarted = true;
    native.plane.revive();
    await world.expectDead(/refused by the plane: page session: unknown token/, native.ask('walk'));
  },
  {
    ...asking,
    accept: (socket, serve) => (restarted ? createPageServer().acceptPager(socket, 'g') : serve(socket)),
  },
);

criuTest('connections cut and stalled at random points leave every byte right', async () => {
  for (const seed of seedsOf('PAGER_CUT_SEEDS', 8)) {
    const draw = seeded(seed);
    const session = { faultsDryUpMs: 1 + draw(60) };
    const body = async (world: World) => {
      const { native, wires } = world;
      await native.pager.ready;
      const commands = [`churn ${seed} 200`, 'walk', 'fork'];
      const answers = native.restored.then(async () => {
        const given = [];
        for (const command of commands) given.push(await native.ask(command));
        return given;
      });
      for (let cuts = 1 + draw(5); cuts > 0; cuts--) {
        await delay(draw(150));
        if (draw(3) > 0) native.plane.cut();
        else wires.at(-1)!.stall();
      }
      await world.expectWhole(answers);
    };
    await inWorld(body, { session, pagerArgs: ['--deadline-ms', '9000'] }).catch((error: unknown) => {
      throw new Error(`seed ${seed} (PAGER_CUT_SEEDS_FROM=${seed} PAGER_CUT_SEEDS=1): ${error}`, {
        cause: error,
      });
    });
  }
});

test.run();
