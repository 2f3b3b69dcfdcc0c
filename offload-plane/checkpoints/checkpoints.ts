/** The plane's checkpoints: taken from containers, listed, removed. */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { ContainerSpec } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { ContainerRecipe } from '../containers/container.ts';
import type { Containers } from '../containers/containers.ts';
import { expectAlive } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics.ts';
import type { CheckpointManifest, PageStore } from '../page-store/contract.ts';
import { takeCheckpoint } from './checkpoint.ts';
import type { DumpInbox } from './dump-inbox.ts';

export interface CheckpointView {
  id: string;
  createdAt: string;
  container: string;
  image: string;
  pageCount: number;
  zeroPageCount: number;
  bytes: number;
  hasOrderLog: boolean;
  frozenMs?: number;
}

export interface CheckpointsDeps {
  logger: Logger;
  store: PageStore;
  containers: Containers;
  guests: Guests;
  inbox: DumpInbox;
  metrics: Metrics;
  randomBytes: (byteCount: number) => Buffer;
  /** Unscaled; multiplied by the guest's deadlineScale. */
  deadlineMs: number;
}

/** The part of a manifest's `meta` that is ours. */
const Meta = Type.Object({
  guest: Type.String(),
  recipe: Type.Object({
    image: Type.String(),
    imageDigest: Type.String(),
    containerPorts: Type.Array(Type.Integer()),
    spec: Type.Omit(ContainerSpec, ['id', 'rootfsLun']),
  }),
});

/** @throws {OffloadError} incomplete_checkpoint when the manifest was not written by this plane's kind */
export function recipeOfManifest(manifest: CheckpointManifest): ContainerRecipe {
  if (!Value.Check(Meta, manifest.meta)) {
    throw new OffloadError(
      'incomplete_checkpoint',
      `checkpoint ${manifest.id}: its manifest names no container`,
    );
  }
  return (manifest.meta as Static<typeof Meta>).recipe;
}

export function createCheckpoints(deps: CheckpointsDeps) {
  const { store, containers, guests, metrics } = deps;
  const frozenMsById = new Map<string, number>();

  async function viewOf(manifest: CheckpointManifest): Promise<CheckpointView> {
    const recipe = recipeOfManifest(manifest);
    const frozenMs = frozenMsById.get(manifest.id);
    return {
      id: manifest.id,
      createdAt: manifest.createdAt,
      container: recipe.spec.hostname,
      image: recipe.image,
      pageCount: manifest.pageCount,
      zeroPageCount: manifest.zeroPageCount,
      bytes: manifest.storedBytes,
      hasOrderLog: await hasOrderLog(manifest.id),
      ...(frozenMs === undefined ? {} : { frozenMs }),
    };
  }

  async function hasOrderLog(id: string): Promise<boolean> {
    const reader = await store.open(id);
    try {
      return (await reader.readOrderLog()) !== undefined;
    } finally {
      await reader.close();
    }
  }

  return {
    async create(request: {
      container: string;
      id: string;
      after: 'stop' | 'resume';
    }): Promise<CheckpointView> {
      const container = containers.get(request.container);
      containers.expectPhase(container, 'checkpoint', 'running');
      const guest = guests.get(container.guest);
      expectAlive(guest, `checkpoint container ${container.name}`);
      const outcome = await takeCheckpoint(
        {
          ...request,
          container,
          guest,
          token: deps.randomBytes(32).toString('hex'),
          deadlineMs: Math.round(deps.deadlineMs * guest.deadlineScale),
        },
        deps,
      );
      frozenMsById.set(request.id, outcome.frozenMs);
      metrics.checkpointTaken(outcome);
      return viewOf(outcome.manifest);
    },
    /** A damaged one is left out and logged; inspecting it says what is wrong. */
    async list(): Promise<CheckpointView[]> {
      const views = await Promise.all(
        (await store.list()).map((manifest) =>
          viewOf(manifest).catch((error: Error) => {
            deps.logger.warn(
              { checkpoint: manifest.id, error: error.message },
              'checkpoint left out of the list',
            );
            return undefined;
          }),
        ),
      );
      return views.filter((view) => view !== undefined);
    },
    async inspect(id: string): Promise<CheckpointView> {
      const reader = await store.open(id);
      try {
        return await viewOf(reader.manifest);
      } finally {
        await reader.close();
      }
    },
    async remove(id: string): Promise<void> {
      await store.remove(id);
      frozenMsById.delete(id);
    },
  };
}
export type Checkpoints = ReturnType<typeof createCheckpoints>;
