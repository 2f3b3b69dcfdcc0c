/** A plane that is killed, the guests it has, and what it has said so far: that has to stay so. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type FakeMachine, startFakeMachine } from '../fake-machine.ts';
import { claimPorts } from '../own-ports.ts';
import { placeImage } from '../placed-image.ts';
import { PlaneProcess } from '../plane-process.ts';
import { type Draw, seeded } from '../seeded.ts';
import { tempDirectory } from '../temp-directory.ts';

export const VOLUMES = ['data', 'more'];
const VOLUME_BYTES = 16 * 1024 * 1024;

/** A container by what the plane has said of it. What it may decide itself is taken from its list, once. */
export interface Model {
  name: string;
  phase: string;
  id?: string | undefined;
  guest?: string | undefined;
  hostPort?: number | undefined;
  /** Pages of its restore may be on their way: whether that is complete or fails when it ends now is not foreseen. */
  isArriving?: boolean;
  /** The checkpoint that its changes are tracked since. */
  parent?: string | undefined;
}

export interface KnownOperation {
  /** Once it has ended it stays as it is. */
  ended?: { phase: string; result?: unknown };
}

export interface KilledPlane {
  draw: Draw;
  plane: PlaneProcess;
  machines: readonly FakeMachine[];
  /** By name. */
  models: Map<string, Model>;
  /** By id: as the plane has shown them. */
  checkpoints: Map<string, Record<string, unknown>>;
  operations: Map<string, KnownOperation>;
  /** Names of containers, checkpoints and guests with which somebody is busy. */
  held: Set<string>;
  /** The guest that is to be drained, once nobody is busy. */
  toDrain?: string | undefined;
  made: number;
  nextPort: () => number;
  /** That containers have had. */
  ports: Set<number>;
  /** What was answered well and refused, by kind. */
  counts: { done: Map<string, number>; refused: Map<string, number> };
}

export const pick = <T>(draw: Draw, from: readonly T[]): T => from[draw(from.length)]!;

export const nextName = (world: KilledPlane, prefix: string): string => {
  world.made += 1;
  return `${prefix}${world.made}`;
};

export async function startKilledPlane(seed: number): Promise<KilledPlane> {
  const machines = await Promise.all(['guest-a', 'guest-b'].map((name) => startFakeMachine(name, true)));
  // Programs end of a signal that they are sent.
  for (const { world } of machines) writeFileSync(join(world.directory, 'die-of-15'), '');
  const plane = new PlaneProcess(tempDirectory('killed-plane'));
  placeImage(join(plane.store, 'images'));
  await plane.start();
  for (const { registration } of machines) {
    const { status, body } = await plane.send('POST', '/v1/guests', registration);
    assert.is(status, 201, JSON.stringify(body));
  }
  for (const name of VOLUMES) {
    const { status, body } = await plane.send('POST', '/v1/volumes', { name, sizeBytes: VOLUME_BYTES });
    assert.is(status, 201, JSON.stringify(body));
  }
  return {
    ...{ draw: seeded(seed), plane, machines, made: 0, nextPort: await claimPorts() },
    ...{
      models: new Map(),
      checkpoints: new Map(),
      operations: new Map(),
      held: new Set(),
      ports: new Set(),
    },
    counts: { done: new Map(), refused: new Map() },
  };
}

export async function endKilledPlane({ plane, machines }: KilledPlane): Promise<void> {
  plane.kill();
  await plane.ended();
  for (const machine of machines) machine.close();
}
