/**
 * The plane's volumes, below one directory: `<directory>/<name>/` holds data.ext4 and volume.json. A volume
 * is made under a hidden name and renamed when it is whole, so a killed plane leaves only what the next one
 * removes. The store does not know who uses a volume: who removes one asks first.
 */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { renameSynced, syncPath } from '../images/durable-file.ts';
import { type RunTool, runTool } from '../images/run-tool.ts';
import {
  DEFAULT_VOLUME_BYTES,
  DEFAULT_VOLUME_LIMITS,
  VOLUME_BLOCK_BYTES,
  type VolumeLimits,
} from './limits.ts';
import { makeVolume } from './make-volume.ts';
import { readStoredVolume, recordOf, type StoredVolume, type VolumeRecord } from './volume-record.ts';

export type { VolumeRecord } from './volume-record.ts';

export interface VolumeRequest {
  name: string;
  /** Rounded up to whole blocks. */
  sizeBytes?: number;
  /** Take all of it from the device now; else it grows as it is written to. */
  reserved?: boolean;
}

export interface VolumeStore {
  /** @throws {OffloadError} already_exists, invalid_request, no_space */
  create(request: VolumeRequest): Promise<VolumeRecord>;
  has(name: string): boolean;
  /** @throws {OffloadError} not_found */
  get(name: string): Promise<VolumeRecord>;
  list(): Promise<VolumeRecord[]>;
  /** @param expectUnused called when its turn has come, throws when the volume has to stay */
  remove(name: string, expectUnused: () => void): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

const NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/;
const DRAFT_PREFIX = '.new-';
const TRASH_PREFIX = '.trash-';

export async function openVolumeStore(options: {
  directory: string;
  logger?: { warn(fields: object, message: string): void };
  run?: RunTool;
  limits?: Partial<VolumeLimits>;
}): Promise<VolumeStore> {
  const directory = resolve(options.directory);
  const limits = { ...DEFAULT_VOLUME_LIMITS, ...options.limits };
  const { run = runTool, logger } = options;
  await mkdir(directory, { recursive: true });
  const volumes = await loadVolumes(directory, logger);
  /** The last change under way; changes are made one after the other. */
  let tail: Promise<unknown> = Promise.resolve();

  function enqueue<T>(change: () => Promise<T>): Promise<T> {
    const result = tail.then(change);
    tail = result.catch(() => undefined);
    return result;
  }

  function find(name: string, operation: string): StoredVolume {
    const stored = volumes.get(name);
    if (stored) return stored;
    throw new OffloadError('not_found', `${operation}: no volume ${JSON.stringify(name.slice(0, 80))}`);
  }

  const recordFor = (stored: StoredVolume) => recordOf(join(directory, stored.name), stored);

  async function create({ name, sizeBytes, reserved = false }: VolumeRequest): Promise<VolumeRecord> {
    const operation = `create volume ${name}`;
    if (volumes.has(name)) throw new OffloadError('already_exists', `${operation}: the name is taken`);
    if (volumes.size >= limits.volumeCountMax) {
      throw new OffloadError('no_space', `${operation}: the limit is ${limits.volumeCountMax} volumes`);
    }
    const stored: StoredVolume = {
      formatVersion: 1,
      name,
      sizeBytes: wholeBlocks(sizeBytes ?? DEFAULT_VOLUME_BYTES),
      reserved,
      createdAt: new Date().toISOString(),
    };
    const draft = await mkdtemp(join(directory, DRAFT_PREFIX));
    try {
      await makeVolume(draft, stored, { run, timeoutMs: limits.createTimeoutMs });
      await syncPath(draft);
      await renameSynced(draft, join(directory, name));
    } catch (error) {
      await rm(draft, { recursive: true, force: true });
      throw createError(error, operation);
    }
    volumes.set(name, stored);
    return await recordFor(stored);
  }

  return {
    async create(request) {
      checkRequest(request, limits);
      return await enqueue(() => create(request));
    },
    has: (name) => volumes.has(name),
    get: async (name) => await recordFor(find(name, 'get volume')),
    list: async () => {
      const sorted = [...volumes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      return await Promise.all(sorted.map(recordFor));
    },
    remove: (name, expectUnused) =>
      enqueue(async () => {
        find(name, 'remove volume');
        expectUnused();
        const trash = join(directory, `${TRASH_PREFIX}${name}`);
        volumes.delete(name);
        await renameSynced(join(directory, name), trash);
        await rm(trash, { recursive: true, force: true });
      }),
    async close() {
      await tail;
    },
  };
}

/** Reads what is whole and removes what is unfinished. What is damaged stays: it may be somebody's data. */
async function loadVolumes(
  directory: string,
  logger: { warn(fields: object, message: string): void } | undefined,
): Promise<Map<string, StoredVolume>> {
  const volumes = new Map<string, StoredVolume>();
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (name.startsWith(DRAFT_PREFIX) || name.startsWith(TRASH_PREFIX)) {
      logger?.warn({ path }, 'unfinished volume removed');
      await rm(path, { recursive: true, force: true });
      continue;
    }
    const stored = await readStoredVolume(path);
    if (stored?.name === name) volumes.set(name, stored);
    else logger?.warn({ path }, 'is no volume, or a damaged one: left alone');
  }
  return volumes;
}

const wholeBlocks = (bytes: number) => Math.ceil(bytes / VOLUME_BLOCK_BYTES) * VOLUME_BLOCK_BYTES;

function checkRequest({ name, sizeBytes }: VolumeRequest, limits: VolumeLimits): void {
  if (!NAME.test(name)) {
    throw new OffloadError(
      'invalid_request',
      `create volume: the name ${JSON.stringify(name.slice(0, 80))} is not made of lower case letters, digits and _ . - after the first, at most 63 characters`,
    );
  }
  if (sizeBytes === undefined) return;
  const { sizeBytesMin, sizeBytesMax } = limits;
  if (Number.isSafeInteger(sizeBytes) && sizeBytes >= sizeBytesMin && sizeBytes <= sizeBytesMax) return;
  throw new OffloadError(
    'invalid_request',
    `create volume ${name}: ${sizeBytes} bytes, a volume has ${sizeBytesMin} to ${sizeBytesMax} bytes`,
  );
}

function createError(error: unknown, operation: string): unknown {
  if (error instanceof OffloadError) {
    return new OffloadError(error.code, `${operation}: ${error.message}`, { cause: error });
  }
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOTEMPTY' || code === 'EEXIST') {
    return new OffloadError('already_exists', `${operation}: a damaged volume has the name`, {
      cause: error,
    });
  }
  if (code !== 'ENOSPC' && code !== 'EFBIG') return error;
  return new OffloadError('no_space', `${operation}: ${message}`, { cause: error });
}
