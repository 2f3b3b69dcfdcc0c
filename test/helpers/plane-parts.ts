/** The plane's containers over fake guests, and what they need beside them. */
import { randomBytes } from 'node:crypto';
import { type CheckpointsDeps, createCheckpoints } from '../../offload-plane/checkpoints/checkpoints.ts';
import { createDumpInbox } from '../../offload-plane/checkpoints/dump-inbox.ts';
import type { ContainerRecipe } from '../../offload-plane/containers/container.ts';
import {
  type Containers,
  type ContainersDeps,
  createContainers,
} from '../../offload-plane/containers/containers.ts';
import type { Images } from '../../offload-plane/images/images.ts';
import { createLogger } from '../../offload-plane/logger.ts';
import { createMetrics } from '../../offload-plane/metrics.ts';
import { type Answers, openAnswers } from '../../offload-plane/operations/answers.ts';
import { createOperations, type Operations } from '../../offload-plane/operations/operations.ts';
import type { PageStore } from '../../offload-plane/page-store/contract.ts';
import type { Volumes } from '../../offload-plane/volumes/volumes.ts';
import { OffloadError } from '../../platform/errors.ts';
import { type FakeGuest, guestsOf } from './fake-guest.ts';
import { openState, type State } from './state.ts';

/** Nothing comes near it: a machine that is busy makes one wait. */
export const DEADLINE_MS = 60_000;

export const silentLogger = createLogger('silent');

/** One image, `redis`. */
const images = {
  get(name: string) {
    if (name !== 'redis' && name !== 'sha256:1') {
      throw new OffloadError('not_found', `image ${name}: there is none of this name`);
    }
    return {
      name: 'redis',
      digest: 'sha256:1',
      rootfsPath: '/redis.erofs',
      config: {
        command: ['redis-server'],
        env: ['PATH=/bin', 'A=1'],
        workingDir: '',
        user: '0:0',
        exposedPorts: [],
      },
    };
  },
} as unknown as Images;

const containerId = (number: number) => `c0ffee${String(number).padStart(6, '0')}`;
/** The id of the first container that a test's containers make; the next has the next number. */
export const FIRST_ID = containerId(1);

/** Every volume is there, as `/NAME.ext4`. */
const volumes = {
  ensure: async () => {},
  get: async (name: string) => ({ name, path: `/${name}.ext4` }),
} as unknown as Volumes;

export const containersOf = (...guests: FakeGuest[]) => containersOver(openState(), ...guests);

export interface StateOfContainers extends State {
  answers?: Answers;
  operations?: Operations;
  /** Default: none was. */
  isCommitted?: ContainersDeps['isCommitted'];
  /** Default: there is none to go on with. */
  takeUpRestore?: ContainersDeps['takeUpRestore'];
}

/** @param state on which an earlier plane may have left some */
export function containersOver({ database, journal, ...parts }: StateOfContainers, ...guests: FakeGuest[]) {
  const nowMs = () => Date.now();
  const { takeUpRestore = async () => ({}), isCommitted = async () => false } = parts;
  const { answers = openAnswers(database, nowMs) } = parts;
  let made = 0;
  return createContainers({
    database,
    journal,
    answers,
    operations: parts.operations ?? createOperations({ database, nowMs, randomBytes }),
    wallMs: nowMs,
    isCommitted,
    inspectCheckpoint: async (id) => ({ id }),
    takeUpRestore,
    guests: guestsOf(...guests),
    images,
    volumes,
    logger: silentLogger,
    hostAddress: '127.0.0.1',
    randomBytes(byteCount) {
      // Ids of containers have six bytes, those of requests have more.
      if (byteCount !== 6) return randomBytes(byteCount);
      made += 1;
      return Buffer.from(containerId(made), 'hex');
    },
    callTimeoutMs: DEADLINE_MS,
  });
}

/** The plane's checkpoints in a store, of the containers of one guest. */
export function checkpointsOver(
  { database }: State,
  store: PageStore,
  containers: Containers,
  guest: FakeGuest,
  options: Partial<CheckpointsDeps> = {},
) {
  return createCheckpoints({
    ...{ database, store, containers, guests: guestsOf(guest), logger: silentLogger },
    ...{ inbox: createDumpInbox(silentLogger), metrics: createMetrics() },
    wallMs: () => Date.now(),
    randomBytes: (byteCount) => Buffer.alloc(byteCount, 7),
    deadlineMs: DEADLINE_MS,
    ...options,
  });
}

export const RECIPE: ContainerRecipe = {
  tenant: 'default',
  image: 'redis',
  imageDigest: 'sha256:1',
  containerPorts: [],
  spec: {
    hostname: 'web',
    command: ['redis-server'],
    env: [],
    workingDir: '/',
    user: '0:0',
    address: '10.88.0.2/16',
  },
};
