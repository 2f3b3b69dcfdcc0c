/**
 * Reads a tar that `exportTar` wrote back into the store, front to back: what it says of itself first, then
 * images and pages as they come. Pages are hashed anew by the store; the whole is compared with what the
 * manifest promised before anybody is told of it.
 */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { Header } from 'tar-stream';
import { Value } from 'typebox/value';
import { OffloadError } from '../../../platform/errors.ts';
import { readTar } from '../../../platform/read-tar.ts';
import { MIB } from '../../../platform/units.ts';
import { isContainerAddress } from '../../containers/addresses.ts';
import { entrySegments } from '../../images/entry-path.ts';
import { decodeOrder } from '../../order-log/format.ts';
import { saveOrderLog, toOrderLog } from '../../order-log/load.ts';
import type { CheckpointManifest, CheckpointWriter, PageStore } from '../../page-store/contract.ts';
import { byteProgress, cancelled, type Following } from '../cancellation.ts';
import { MAX_MANIFEST_BYTES, MAX_ORDER_BYTES, TransferManifest, TransferName } from './contract.ts';
import { createPageImport } from './import-pages.ts';
import { invalidTransfer } from './invalid.ts';

export interface ImportRequest {
  /** Default: the name it had. */
  id?: string | undefined;
  /** Default: whose it was. */
  tenant?: string | undefined;
  /** Of the tar, where it is known. */
  totalBytes?: number | undefined;
}

const MAX_PAGEMAP_BYTES = 64 * MIB;
const MAX_ENTRIES = 1 << 17;
/** A sender that gives nothing for so long is given up. */
const IDLE_MS = 60_000;
/** What others read in it. */
const IGNORED = [TransferName.config, TransferName.spec, TransferName.network] as string[];

/** @throws {OffloadError} invalid_checkpoint, digest_mismatch, already_exists, no_space, deadline_exceeded */
export async function importTar(
  store: PageStore,
  source: Readable,
  request: ImportRequest,
  following: Following = {},
): Promise<CheckpointManifest> {
  const { signal } = following;
  const what = `import checkpoint${request.id === undefined ? '' : ` ${request.id}`}`;
  const entries = readTar();
  /** Ends the reading and leaves the connection, so that whoever sends it can be told why. */
  const stop = new AbortController();
  const idle = setTimeout(() => {
    stop.abort(new OffloadError('deadline_exceeded', `${what}: no byte for ${IDLE_MS} ms`));
  }, IDLE_MS);
  const count = byteProgress(following, 'receiving', request.totalBytes);
  source.on('data', (chunk: Buffer) => {
    idle.refresh();
    count(chunk.length);
  });
  const onAbort = () => stop.abort(cancelled(what));
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  const fed = pipeline(source, entries, { signal: stop.signal });
  fed.catch(() => undefined);
  const job = createImport(store, request);
  try {
    for await (const entry of entries) await job.take(entry.header, Readable.from(entry));
    await fed;
    following.progress?.('comparing it with what was exported');
    return await job.finish(() => stop.signal.throwIfAborted());
  } catch (error) {
    await job.abort();
    stop.abort(error);
    const reason: unknown = stop.signal.reason;
    throw reason instanceof OffloadError ? reason : unreadable(reason as NodeJS.ErrnoException);
  } finally {
    clearTimeout(idle);
    signal?.removeEventListener('abort', onAbort);
  }
}

function unreadable(error: NodeJS.ErrnoException): OffloadError {
  return new OffloadError('invalid_checkpoint', `import checkpoint: no readable tar: ${error.message}`, {
    cause: error,
  });
}

function createImport(store: PageStore, request: ImportRequest) {
  let manifest: TransferManifest | undefined;
  let writer: CheckpointWriter | undefined;
  let pages: ReturnType<typeof createPageImport> | undefined;
  let order: Buffer | undefined;
  let entryCount = 0;

  async function begin(header: Header, body: Readable): Promise<void> {
    manifest = parseManifest(await small(header, body, MAX_MANIFEST_BYTES));
    const { recipe } = manifest;
    writer = await store.begin(request.id ?? manifest.id, { tenant: request.tenant ?? recipe.tenant });
    pages = createPageImport(writer);
  }

  async function takeImage(name: string, header: Header, body: Readable): Promise<void> {
    if (pages!.isPagemap(name)) {
      pages!.takePagemap(name, await small(header, body, MAX_PAGEMAP_BYTES));
    } else if (pages!.isPages(name)) {
      await pages!.takePages(name, header.size ?? 0, body as AsyncIterable<Buffer>);
    } else {
      await writer!.addImage(name, body);
    }
  }

  return {
    async take(header: Header, body: Readable): Promise<void> {
      const name = plainName(header);
      entryCount += 1;
      if (entryCount > MAX_ENTRIES) throw invalidTransfer(name, `is one of more than ${MAX_ENTRIES} entries`);
      if (header.type === 'directory') return void body.resume();
      if (writer === undefined) {
        if (name !== TransferName.manifest) {
          throw invalidTransfer(name, `comes first, where ${TransferName.manifest} has to be`);
        }
        return await begin(header, body);
      }
      const [directory, image, ...deeper] = name.split('/');
      if (directory === TransferName.images && image !== undefined && deeper.length === 0) {
        await takeImage(image, header, body);
      } else if (name === TransferName.order && order === undefined) {
        order = await small(header, body, MAX_ORDER_BYTES);
      } else if (name === TransferName.rootfsDiff) await writer.addRootfsDiff(body);
      else if (IGNORED.includes(name)) body.resume();
      else throw invalidTransfer(name, 'does not belong into a checkpoint');
    },
    /** @param beforeCommit may throw: then nothing is kept */
    async finish(beforeCommit: () => void): Promise<CheckpointManifest> {
      if (manifest === undefined || writer === undefined) {
        throw invalidTransfer(TransferName.manifest, 'is missing: it is no checkpoint that a plane exported');
      }
      pages!.finish();
      const { guest } = manifest;
      const recipe = { ...manifest.recipe, tenant: request.tenant ?? manifest.recipe.tenant };
      beforeCommit();
      const committed = await writer.commit({ recipe, guest });
      await settle(store, committed, manifest, order);
      return committed;
    },
    abort: async (): Promise<void> => await writer?.abort(),
  };
}

/** Compares what has arrived with what was promised, and takes the order log over. What differs goes again. */
async function settle(
  store: PageStore,
  committed: CheckpointManifest,
  promised: TransferManifest,
  order: Buffer | undefined,
): Promise<void> {
  const reader = await store.open(committed.id);
  let difference: string | undefined;
  try {
    const memoryDigest = reader.memoryDigest().toString(16).padStart(16, '0');
    if (memoryDigest !== promised.memoryDigest || committed.pageCount !== promised.pageCount) {
      difference = 'its memory';
    }
    difference ??= differentFile(committed, promised);
    const decoded = order === undefined ? undefined : decodeOrder(order);
    // The log names the digest of the memory's layout in its first store, which may have been another.
    if (difference === undefined && typeof decoded === 'object' && decoded.digest === promised.digest) {
      // Each page once, and only those that are there.
      const log = toOrderLog(reader, decoded.entries);
      if (log) await saveOrderLog(reader, log.entries);
    }
  } finally {
    await reader.close();
  }
  if (difference === undefined) return;
  await store.remove(committed.id);
  throw new OffloadError(
    'digest_mismatch',
    `import checkpoint ${promised.id}: ${difference} is not what was exported`,
  );
}

function differentFile({ files }: CheckpointManifest, promised: TransferManifest): string | undefined {
  const digestOf = (name: string) =>
    (name === TransferName.rootfsDiff ? files[name] : files[`images/${name}`])?.sha256;
  const different = Object.entries(promised.files).find(([name, sha256]) => digestOf(name) !== sha256)?.[0];
  const count = Object.keys(files).filter(
    (name) => name.startsWith('images/') || name === TransferName.rootfsDiff,
  );
  if (different === undefined && count.length !== Object.keys(promised.files).length)
    return 'its set of files';
  return different;
}

/** @throws {OffloadError} invalid_checkpoint */
function parseManifest(bytes: Buffer): TransferManifest {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw invalidTransfer(TransferName.manifest, 'is no JSON');
  }
  if (!Value.Check(TransferManifest, value)) {
    const [first] = Value.Errors(TransferManifest, value);
    throw invalidTransfer(TransferName.manifest, `does not fit: ${first?.instancePath} ${first?.message}`);
  }
  if (!isContainerAddress(value.recipe.spec.address)) {
    throw invalidTransfer(
      TransferName.manifest,
      `has address ${value.recipe.spec.address}, which no container has`,
    );
  }
  return value;
}

/** A file or directory below the root, by a name of its own. @throws {OffloadError} invalid_checkpoint */
function plainName(header: Header): string {
  const segments = entrySegments(header.name);
  if (segments === undefined) throw invalidTransfer(header.name, 'leads out of the checkpoint');
  if (header.type !== 'file' && header.type !== 'directory') {
    throw invalidTransfer(header.name, `is a ${header.type ?? 'entry of unknown type'}, not a plain file`);
  }
  return segments.join('/');
}

async function small({ name, size = 0 }: Header, body: Readable, limitBytes: number): Promise<Buffer> {
  if (size > limitBytes) throw invalidTransfer(name, `has ${size} bytes, limit ${limitBytes} bytes`);
  return await buffer(body);
}
