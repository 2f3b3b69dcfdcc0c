/** The plane, put together from what main.ts gives it. */
import { join } from 'node:path';
import { type Checkpoints, createCheckpoints } from './checkpoints/checkpoints.ts';
import { createDumpInbox } from './checkpoints/dump-inbox.ts';
import { checkpointRecipes } from './checkpoints/recipes.ts';
import { createAutoRemover } from './containers/auto-remover.ts';
import type { Container } from './containers/container.ts';
import { type Containers, createContainers } from './containers/containers.ts';
import { createCutOffDrains } from './containers/cut-off-drains.ts';
import { createDrainer, type Drainer } from './containers/drainer.ts';
import { createRescuer } from './containers/rescuer.ts';
import { createRestarter } from './containers/restarter.ts';
import { type ContainerStdio, createStdio } from './containers/stdio.ts';
import { createAgentObserver } from './guests/agent-observer.ts';
import { awaitFirstContact } from './guests/first-contact.ts';
import { createGuests, type Guests } from './guests/guests.ts';
import { openImageStore } from './images/image-store.ts';
import { createImages, type Images } from './images/images.ts';
import { type Journal, openJournal } from './journal/journal.ts';
import type { Logger } from './logger.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { type Answers, openAnswers } from './operations/answers.ts';
import { createOperations, type Operations } from './operations/operations.ts';
import { openUnfinishedRecordings } from './order-log/unfinished.ts';
import { createPageServer } from './page-server/server.ts';
import type { PageStore } from './page-store/contract.ts';
import { KEEP_OPEN_COUNT } from './page-store/limits.ts';
import { openPageStore } from './page-store/store.ts';
import { createProbeWatcher } from './probes/watcher.ts';
import { createRestores, type Restores } from './restores/restores.ts';
import { type Database, openDatabase } from './state/database.ts';
import { createTemplates, type Templates } from './templates/templates.ts';
import { NO_TRACING, type Tracing } from './tracing/tracing.ts';
import { openVolumeStore } from './volumes/volume-store.ts';
import { createVolumes, type Volumes } from './volumes/volumes.ts';

export interface PlaneConfig {
  /** Stands for the dedicated NVMe device. */
  storeDirectory: string;
  quotaBytes?: number;
  /** Where published ports listen. */
  hostAddress: string;
  timeouts: Timeouts;
}

/** Milliseconds on an unemulated guest; those about work in a guest are multiplied by its deadlineScale. */
export interface Timeouts {
  guestConnectMs: number;
  /** How long a guest may be out of reach before its containers are lost. */
  guestLostMs: number;
  callMs: number;
  checkpointMs: number;
  restoreMs: number;
  dumpIdleMs: number;
  faultsDryUpMs: number;
  recordGraceMs: number;
  /** From the end of a restored program to its pager's word that it needs no more pages. */
  lastWordMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  guestConnectMs: 120_000,
  guestLostMs: 60_000,
  callMs: 10_000,
  checkpointMs: 60_000,
  restoreMs: 30_000,
  dumpIdleMs: 60_000,
  faultsDryUpMs: 200,
  recordGraceMs: 500,
  lastWordMs: 5_000,
};

export interface PlaneDeps {
  logger: Logger;
  /** Monotonic. */
  nowMs: () => number;
  /** Milliseconds since 1970. */
  wallMs: () => number;
  randomBytes: (byteCount: number) => Buffer;
  /** Default: none. */
  tracing?: Tracing;
}

export interface Plane {
  /** Records of whoever has some; see state/documents.ts. */
  database: Database;
  journal: Journal;
  operations: Operations;
  answers: Answers;
  guests: Guests;
  /** Until then containers may still be as an earlier plane left them. */
  firstContact: Promise<void>;
  images: Images;
  volumes: Volumes;
  containers: Containers;
  stdio: ContainerStdio;
  checkpoints: Checkpoints;
  restores: Restores;
  templates: Templates;
  drainer: Drainer;
  store: PageStore;
  metrics: Metrics;
  tracing: Tracing;
  close(): Promise<void>;
}

/** What changes containers waits so long, after a start, for the guests that are known. */
const FIRST_CONTACT_MS = 30_000;
const DATABASE_FILE = 'plane.db';

async function openBeside(store: PageStore, path: string): Promise<Database> {
  try {
    return openDatabase(path);
  } catch (error) {
    await store.close();
    throw error;
  }
}

export async function createPlane(config: PlaneConfig, deps: PlaneDeps): Promise<Plane> {
  const { logger, nowMs, wallMs, randomBytes, tracing = NO_TRACING } = deps;
  const { timeouts } = config;
  const metrics = createMetrics();
  const store = await openPageStore({
    directory: config.storeDirectory,
    keepOpenCount: KEEP_OPEN_COUNT,
    logger,
    onEvicted(id) {
      logger.info({ checkpoint: id }, 'checkpoint evicted to make room');
      metrics.checkpointEvicted();
    },
    ...(config.quotaBytes === undefined ? {} : { quotaBytes: config.quotaBytes }),
  });
  // The store's lock is the database's as well.
  const database = await openBeside(store, join(config.storeDirectory, DATABASE_FILE));
  const journal = openJournal(database, wallMs);
  const operations = createOperations({
    database,
    nowMs: wallMs,
    randomBytes,
    onEnded: metrics.operationEnded,
  });
  const answers = openAnswers(database, wallMs);
  const imageStore = await openImageStore({ directory: join(config.storeDirectory, 'images'), logger });
  const images = createImages({
    store: imageStore,
    journal,
    async usersOf(digest) {
      const made = containers.records().filter(({ recipe }) => recipe.imageDigest === digest);
      const saved = (await checkpointRecipes(store)).filter(({ recipe }) => recipe.imageDigest === digest);
      return [...made.map(({ name }) => `container ${name}`), ...saved.map(({ id }) => `checkpoint ${id}`)];
    },
    async detach(path) {
      const present = guests.list().filter((guest) => !guest.lost);
      await Promise.all(present.map((guest) => guest.disks.detach(path)));
    },
  });
  const volumes = createVolumes({
    store: await openVolumeStore({ directory: join(config.storeDirectory, 'volumes'), logger }),
    journal,
    usersOf: (name) =>
      containers
        .records()
        .filter(({ recipe }) => recipe.volumes?.some((volume) => volume.name === name))
        .map((container) => container.name),
    guestOf: (path) =>
      guests.list().find((guest) => !guest.lost && guest.disks.holdersOf(path).length > 0)?.registration.name,
  });
  const pageServer = createPageServer({ logger, metrics: metrics.pageServer });
  const inbox = createDumpInbox(logger);
  const guests = createGuests({
    database,
    journal,
    newRequestId: () => randomBytes(8).toString('hex'),
    connectTimeoutMs: timeouts.guestConnectMs,
    observer: createAgentObserver(metrics, tracing),
    lostAfterMs: timeouts.guestLostMs,
    onPager: (socket, guest) => pageServer.acceptPager(socket, guest),
    onDump: (socket, guest) => void inbox.accept(socket, guest, timeouts.dumpIdleMs),
    onEvent(event, guest) {
      containers.onAgentEvent(event, guest);
      if (event.event !== 'exited') return;
      metrics.containerExited(event.exitCode);
      void restores.onContainerExited(event.container, guest);
    },
    onCaughtUp(guest) {
      const { name } = guest.registration;
      containers.adopt(guest).then(
        () => {
          restarter.onAdopted(name, !adopted.has(name));
          autoRemover.onAdopted(name);
          adopted.add(name);
          adopting.delete(name);
          rescuer.onGuests();
          if (contacted) finishDrains();
          for (const container of containers.records()) {
            if (container.guest === name && container.phase === 'running') probes.start(container);
          }
          firstContact.settled(name);
        },
        (error: Error) => logger.error({ guest: name, error: error.message }, 'containers not adopted'),
      );
    },
    onPhase({ registration: { name }, phase }) {
      logger.info({ guest: name, phase }, 'guest');
      if (phase === 'ready') adopting.add(name);
      else adopting.delete(name);
      if (phase !== 'lost') return;
      firstContact.settled(name);
      metrics.guestLost();
      onContainersLost(name);
    },
    onNewInstance: onContainersLost,
  });
  const firstContact = awaitFirstContact(guests.known(), FIRST_CONTACT_MS);

  /** Guests whose containers this plane has taken up. */
  const adopted = new Set<string>();
  /** Those that are reached, and whose containers are being taken up. */
  const adopting = new Set<string>();
  let closed = false;
  let contacted = false;

  function onContainerPhase(container: Container): void {
    const { phase } = container;
    if (phase === 'running') probes.start(container);
    if (phase === 'stopped') restarter.onStopped(container);
    if (phase === 'stopped') autoRemover.onStopped(container);
    if (phase === 'lost') rescuer.onLost(container);
  }

  function onContainersLost(guest: string): void {
    restores.onGuestLost(guest);
    containers.onGuestLost(guest);
  }

  const isCommitted = (checkpoint: string, sinceMs: number) => checkpoints.isTaken(checkpoint, sinceMs);
  const containers = createContainers({
    database,
    journal,
    answers,
    operations,
    wallMs,
    onPhase: onContainerPhase,
    isCommitted,
    inspectCheckpoint: (checkpoint) => checkpoints.inspect(checkpoint),
    takeUpRestore: (container, intent) => restores.takeUp(container, intent),
    guests,
    images,
    volumes,
    logger,
    hostAddress: config.hostAddress,
    randomBytes,
    callTimeoutMs: timeouts.callMs,
  });
  const stdio = createStdio({ containers, guests });
  const restarter = createRestarter({ containers, guests, logger });
  const autoRemover = createAutoRemover({ containers, guests, logger, isRead: stdio.isRead });
  const probes = createProbeWatcher({
    guestOf: (container) => guests.find(container.guest),
    note: containers.note,
    nowMs,
    wallMs,
  });
  const checkpoints = createCheckpoints({
    database,
    store,
    containers,
    guests,
    inbox,
    metrics,
    tracing,
    logger,
    randomBytes,
    wallMs,
    deadlineMs: timeouts.checkpointMs,
  });
  await checkpoints.removeLeftovers();
  const restores = createRestores({
    database,
    answers,
    operations,
    store,
    pageServer,
    recordings: openUnfinishedRecordings(join(config.storeDirectory, 'recordings')),
    containers,
    guests,
    metrics,
    tracing,
    logger,
    nowMs,
    wallMs,
    randomBytes,
    deadlineMs: timeouts.restoreMs,
    faultsDryUpMs: timeouts.faultsDryUpMs,
    recordGraceMs: timeouts.recordGraceMs,
    lastWordMs: timeouts.lastWordMs,
  });
  const templates = createTemplates({
    database,
    answers,
    containers,
    checkpoints,
    restores,
    guests,
    logger,
    wallMs,
  });
  const isBeingAdopted = (guest: string) => adopting.has(guest);
  const rescuer = createRescuer({ containers, guests, restores, logger, isBeingAdopted });
  const isAdopted = (guest: string) => adopted.has(guest) && !adopting.has(guest);
  const cutOffDrains = createCutOffDrains({ containers, guests, restores, isCommitted, isAdopted, logger });
  const finishDrains = () => void cutOffDrains.finish().then(rescuer.onGuests);
  await restores.reopenAll();
  operations.interruptRest();
  await containers.settleMoves();
  await guests.adopt();
  await containers.publishAgain();
  const settled = firstContact.over.then(async () => {
    if (closed) return;
    await templates.removeLeftovers();
    rescuer.onGuests();
    // Where a container can go is known now.
    contacted = true;
    finishDrains();
  });
  return {
    database,
    journal,
    operations,
    answers,
    guests,
    firstContact: settled,
    images,
    volumes,
    containers,
    stdio,
    checkpoints,
    restores,
    templates,
    drainer: createDrainer({ containers, guests, checkpoints, restores, wallMs }),
    store,
    metrics,
    tracing,
    async close() {
      closed = true;
      firstContact.close();
      restarter.close();
      rescuer.close();
      cutOffDrains.close();
      autoRemover.close();
      probes.close();
      restores.close();
      await operations.close();
      containers.close();
      await guests.close();
      await pageServer.close();
      await images.close();
      await volumes.close();
      database.close();
      await store.close();
    },
  };
}
