/** The plane's checkpoints: taken from containers, listed, removed. */
import type { Readable } from 'node:stream';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { ContainerSpec } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import { type ContainerRecipe, DEFAULT_TENANT, expectPhase } from '../containers/container.ts';
import type { Containers } from '../containers/containers.ts';
import { expectAlive } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics.ts';
import type { CheckpointManifest, CheckpointReader, PageStore } from '../page-store/contract.ts';
import { PAGE_BYTES } from '../page-store/limits.ts';
import { prepareContainer } from '../probes/prepare-container.ts';
import type { Preparation } from '../probes/probe.ts';
import type { Database } from '../state/database.ts';
import { NO_TRACING, type Tracing } from '../tracing/tracing.ts';
import type { Following } from './cancellation.ts';
import { type Transfer, takeCheckpoint } from './checkpoint.ts';
import { readContents } from './contents/contents.ts';
import type { CheckpointContents } from './contents/contract.ts';
import { diffCheckpoints } from './contents/diff.ts';
import type { CheckpointDiff } from './contents/diff-contract.ts';
import type { DumpInbox } from './dump-inbox.ts';
import { openFrozenTimes } from './frozen-times.ts';
import { createLineage } from './lineage.ts';
import { isPreDump, removeLeftPreDumps } from './pre-dumps.ts';
import { exportTar } from './transfer/export.ts';
import { type ImportRequest, importTar } from './transfer/import.ts';

export interface CheckpointView {
  id: string;
  createdAt: string;
  /** Of which it was taken, by its name then. */
  container: string;
  tenant: string;
  image: string;
  /** Neither evicted nor removed. */
  pinned: boolean;
  pageCount: number;
  zeroPageCount: number;
  /** Pages that did not cross while the container stood still: they are as in its parent or a pre-dump. */
  inheritedPageCount: number;
  /** The checkpoint it was taken on top of. It may be gone: nothing of it is needed. */
  parent?: string;
  /** The checkpoint from which its container had been restored. */
  restoredFrom?: string;
  /** Of its own files. */
  bytes: number;
  /** Of the files it has pages in that were another checkpoint's first, or a pre-dump's. */
  sharedBytes: number;
  /** How its pages came, in that order: those of pre-dumps, then those of the dump. */
  transfers?: Transfer[];
  hasOrderLog: boolean;
  frozenMs?: number;
}

export interface CheckpointsDeps {
  database: Database;
  logger: Logger;
  store: PageStore;
  containers: Containers;
  guests: Guests;
  inbox: DumpInbox;
  metrics: Metrics;
  /** Default: none. */
  tracing?: Tracing;
  randomBytes: (byteCount: number) => Buffer;
  wallMs: () => number;
  /** Unscaled; multiplied by the guest's deadlineScale. */
  deadlineMs: number;
}

export interface CheckpointRequest extends Preparation {
  container: string;
  id: string;
  after: 'stop' | 'resume';
  parent?: string;
  preDumpRounds?: number;
}

/** The part of a manifest's `meta` that is ours. */
const Meta = Type.Object({
  guest: Type.String(),
  recipe: Type.Object({
    tenant: Type.Optional(Type.String()),
    image: Type.String(),
    imageDigest: Type.String(),
    containerPorts: Type.Array(Type.Integer()),
    spec: Type.Omit(ContainerSpec, ['id', 'rootfsLun', 'volumes']),
    volumes: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), destination: Type.String(), readOnly: Type.Boolean() })),
    ),
  }),
  parent: Type.Optional(Type.String()),
  /** Absent in those of other tools, and where it is the hostname. */
  container: Type.Optional(Type.String()),
  restoredFrom: Type.Optional(Type.String()),
  transfers: Type.Optional(Type.Array(Type.Unsafe<Transfer>(Type.Object({ preDump: Type.Boolean() })))),
});

/** @throws {OffloadError} incomplete_checkpoint when the manifest was not written by this plane's kind */
export function recipeOfManifest(manifest: CheckpointManifest): ContainerRecipe {
  return { tenant: DEFAULT_TENANT, ...metaOf(manifest).recipe };
}

/** Of which it was taken, by its name then. */
export function containerOfManifest(manifest: CheckpointManifest): string {
  const { container, recipe } = metaOf(manifest);
  return container ?? recipe.spec.hostname;
}

function metaOf(manifest: CheckpointManifest): Static<typeof Meta> {
  if (!Value.Check(Meta, manifest.meta)) {
    throw new OffloadError(
      'incomplete_checkpoint',
      `checkpoint ${manifest.id}: its manifest names no container`,
    );
  }
  return manifest.meta;
}

/** What is in its tar, but for headers: every page, zero ones as well, and every image. */
const tarBytesOf = ({ files, pageCount }: CheckpointManifest): number =>
  Object.entries(files).reduce(
    (sum, [name, { bytes }]) => (name.startsWith('images/') ? sum + bytes : sum),
    pageCount * PAGE_BYTES,
  );

const sharedBytesOf = ({ files, storedBytes }: CheckpointManifest): number =>
  Object.values(files).reduce((sum, file) => sum + file.bytes, 0) - storedBytes;

export function createCheckpoints(deps: CheckpointsDeps) {
  const { store, containers, guests, metrics, tracing = NO_TRACING } = deps;
  const frozenTimes = openFrozenTimes(deps.database);
  const lineage = createLineage(store);

  async function viewOf(manifest: CheckpointManifest): Promise<CheckpointView> {
    const { parent, transfers, restoredFrom } = metaOf(manifest);
    const recipe = recipeOfManifest(manifest);
    const frozenMs = frozenTimes.of(manifest);
    return {
      id: manifest.id,
      createdAt: manifest.createdAt,
      container: containerOfManifest(manifest),
      tenant: recipe.tenant,
      image: recipe.image,
      pinned: await store.isPinned(manifest.id),
      pageCount: manifest.pageCount,
      zeroPageCount: manifest.zeroPageCount,
      inheritedPageCount: transfers?.at(-1)?.inheritedPageCount ?? 0,
      ...(parent === undefined ? {} : { parent }),
      ...(restoredFrom === undefined ? {} : { restoredFrom }),
      bytes: manifest.storedBytes,
      sharedBytes: sharedBytesOf(manifest),
      ...(transfers === undefined ? {} : { transfers }),
      hasOrderLog: await hasOrderLog(manifest.id),
      ...(frozenMs === undefined ? {} : { frozenMs }),
    };
  }

  async function withReader<T>(id: string, use: (reader: CheckpointReader) => Promise<T>): Promise<T> {
    const reader = await store.open(id);
    try {
      return await use(reader);
    } finally {
      await reader.close();
    }
  }

  const hasOrderLog = (id: string): Promise<boolean> =>
    withReader(id, async (reader) => (await reader.readOrderLog()) !== undefined);

  const inspect = (id: string): Promise<CheckpointView> =>
    withReader(id, (reader) => viewOf(reader.manifest));

  return {
    /** Whether there is one that was taken since then; an older one of the name is another. */
    isTaken: async (id: string, sinceMs: number): Promise<boolean> =>
      (await store.list()).some(
        (manifest) => manifest.id === id && Date.parse(manifest.createdAt) >= sinceMs,
      ),
    async create(
      { ready, readyTimeoutMs, warmUp, ...request }: CheckpointRequest,
      following: Following = {},
    ): Promise<CheckpointView> {
      const container = containers.get(request.container);
      expectPhase(container, 'checkpoint', 'running');
      const guest = guests.get(container.guest);
      expectAlive(guest, `checkpoint container ${container.name}`);
      await prepareContainer({ container, guest }, { ready, readyTimeoutMs, warmUp }, following);
      expectPhase(container, 'checkpoint', 'running');
      const about = { 'offload.checkpoint': request.id, 'offload.container': container.name };
      const { id, after } = request;
      const intent = { verb: 'checkpoint', checkpoint: id, after, sinceMs: deps.wallMs() } as const;
      const take = () =>
        takeCheckpoint(
          {
            preDumpRounds: 0,
            ...request,
            signal: following.signal,
            progress: following.progress,
            container,
            guest,
            deadlineMs: Math.round(deps.deadlineMs * guest.deadlineScale),
          },
          { store, inbox: deps.inbox, lineage, newToken: () => deps.randomBytes(32).toString('hex') },
        );
      // One that ends with its checkpoint was stopped by its user: no restart policy starts it again.
      const { desired } = container;
      if (after === 'stop') container.recorder.change(container, { desired: 'stopped' });
      const outcome = await tracing
        .within('checkpoint', about, () => containers.during(container, intent, take))
        .catch((error: unknown) => {
          if (after === 'stop') container.recorder.change(container, { desired });
          metrics.checkpointFailed();
          throw error;
        });
      container.recorder.change(container, { lastCheckpoint: request.id });
      frozenTimes.keep(outcome.manifest, outcome.frozenMs);
      metrics.checkpointTaken(outcome);
      return viewOf(outcome.manifest);
    },
    /** A damaged one is left out and logged; inspecting it says what is wrong. */
    async list(): Promise<CheckpointView[]> {
      const manifests = (await store.list()).filter((manifest) => !isPreDump(manifest));
      const views = await Promise.all(
        manifests.map((manifest) =>
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
    inspect,
    contents: (id: string): Promise<CheckpointContents> => withReader(id, readContents),
    /** What became of the first on the way to the second. */
    diff: (from: string, to: string): Promise<CheckpointDiff> =>
      withReader(from, (before) => withReader(to, (after) => diffCheckpoints(before, after))),
    /** The stream holds the checkpoint until it ends or is destroyed; it is a little longer than `totalBytes`. */
    async export(id: string): Promise<{ tar: Readable; totalBytes: number }> {
      const reader = await store.open(id);
      try {
        const { guest } = metaOf(reader.manifest);
        const tar = exportTar({ reader, guest, recipe: recipeOfManifest(reader.manifest) });
        tar.once('close', () => void reader.close());
        return { tar, totalBytes: tarBytesOf(reader.manifest) };
      } catch (error) {
        await reader.close();
        throw error;
      }
    },
    /** One that is cancelled leaves nothing. */
    async import(tar: Readable, request: ImportRequest, following: Following = {}): Promise<CheckpointView> {
      return await viewOf(await importTar(store, tar, request, following));
    },
    async pin(id: string): Promise<CheckpointView> {
      await store.pin(id);
      return await inspect(id);
    },
    async unpin(id: string): Promise<CheckpointView> {
      await store.unpin(id);
      return await inspect(id);
    },
    async removeLeftovers(): Promise<void> {
      await removeLeftPreDumps(store);
      frozenTimes.keepOnly(await store.list());
    },
    async remove(id: string): Promise<void> {
      await store.remove(id);
      frozenTimes.forget(id);
    },
  };
}
export type Checkpoints = ReturnType<typeof createCheckpoints>;
