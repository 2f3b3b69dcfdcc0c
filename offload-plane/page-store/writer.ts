/**
 * Writes one checkpoint under incoming/ and publishes it as a whole: every file synced, the pages read
 * back, the manifest last, then one rename. Until that rename nobody can open it.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { OffloadError } from '../../platform/errors.ts';
import type {
  CheckpointManifest,
  CheckpointWriter,
  PageTarget,
  StoredFile,
  StoreLimits,
} from './contract.ts';
import { replaceFile, syncDirectory, toStoreError } from './durable.ts';
import { writeSource } from './file-sink.ts';
import { compareTargets, encodeIndex, normaliseSegments } from './index-format.ts';
import { encodeManifest, FORMAT_VERSION } from './manifest.ts';
import { assertImageName, CHECKSUMS, IMAGES, INDEX, MANIFEST, PAGES, ROOTFS_DIFF } from './names.ts';
import { PageAppender } from './page-appender.ts';
import type { QuotaShare } from './quota.ts';
import { verifyPagesFile } from './verify.ts';

export interface WriterOptions {
  id: string;
  /** incoming/<id>, which must not exist. */
  directory: string;
  /** checkpoints/<id>. */
  destination: string;
  limits: StoreLimits;
  quota: QuotaShare;
  /** Called once, when nothing more will be written. */
  onEnd(manifest: CheckpointManifest | undefined): void;
}

export async function createWriter(options: WriterOptions): Promise<StoreWriter> {
  await mkdir(join(options.directory, IMAGES), { recursive: true });
  const pages = await open(join(options.directory, PAGES), 'wx');
  return new StoreWriter(options, pages);
}

export class StoreWriter implements CheckpointWriter {
  readonly id: string;
  readonly #options: WriterOptions;
  readonly #pages: FileHandle;
  readonly #appender: PageAppender;
  readonly #files: Record<string, StoredFile> = {};
  #phase: 'writing' | 'committing' | 'committed' | 'aborted' = 'writing';
  #sinksOpen = 0;
  #imagesBytes = 0;
  #removal: Promise<void> | undefined;

  constructor(options: WriterOptions, pages: FileHandle) {
    this.id = options.id;
    this.#options = options;
    this.#pages = pages;
    const { limits, quota } = options;
    this.#appender = new PageAppender({ file: pages, subject: options.id, limits, quota });
  }

  addTarget(target: PageTarget): void {
    this.#assertWriting('add a target');
    this.#appender.addTarget(target);
  }

  addPages(target: PageTarget, vaddr: bigint, lazy: boolean, pages: Buffer): Promise<void> | undefined {
    this.#assertWriting('add pages');
    try {
      return this.#appender.add(target, vaddr, lazy, pages)?.catch((error) => this.#fail('add pages', error));
    } catch (error) {
      return this.#fail('add pages', error);
    }
  }

  async addImage(name: string, source: Readable | Buffer): Promise<void> {
    assertImageName(`page store ${this.id}`, name);
    const { limits } = this.#options;
    const imageCount = Object.keys(this.#files).filter((file) => file.startsWith(`${IMAGES}/`)).length;
    if (imageCount >= limits.maxImageCount) {
      throw new OffloadError('no_space', `page store ${this.id}: more than ${limits.maxImageCount} images`);
    }
    const limitBytes = Math.min(limits.maxImageBytes, limits.maxImagesTotalBytes - this.#imagesBytes);
    const stored = await this.#addFile(`${IMAGES}/${name}`, source, limitBytes);
    this.#imagesBytes += stored.bytes;
  }

  async addRootfsDiff(source: Readable): Promise<void> {
    await this.#addFile(ROOTFS_DIFF, source, this.#options.limits.maxRootfsDiffBytes);
  }

  async commit(meta: object): Promise<CheckpointManifest> {
    this.#assertWriting('commit');
    if (this.#sinksOpen > 0) {
      throw new OffloadError('invalid_state', `page store commit ${this.id}: a file is still being added`);
    }
    this.#phase = 'committing';
    try {
      const manifest = await this.#publish(meta);
      this.#phase = 'committed';
      this.#options.onEnd(manifest);
      return manifest;
    } catch (error) {
      this.#phase = 'writing';
      await this.abort();
      throw toStoreError(error, 'page store commit', this.id);
    }
  }

  abort(): Promise<void> {
    if (this.#phase === 'committed' || this.#phase === 'committing') return Promise.resolve();
    this.#phase = 'aborted';
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  async #remove(): Promise<void> {
    await this.#appender.settle();
    await this.#pages.close().catch(() => {});
    await rm(this.#options.directory, { recursive: true, force: true });
    this.#options.quota.giveAll();
    this.#options.onEnd(undefined);
  }

  async #addFile(name: string, source: Readable | Buffer, limitBytes: number): Promise<StoredFile> {
    this.#assertWriting(`add ${name}`);
    if (this.#files[name] !== undefined) {
      throw new OffloadError('already_exists', `page store ${this.id}: ${name} is there already`);
    }
    this.#sinksOpen++;
    try {
      const stored = await writeSource(source, {
        path: join(this.#options.directory, name),
        subject: `${this.id}: ${name}`,
        limitBytes,
        quota: this.#options.quota,
        idleMs: this.#options.limits.sourceIdleMs,
      });
      this.#files[name] = stored;
      return stored;
    } catch (error) {
      return this.#fail(`add ${name}`, error);
    } finally {
      this.#sinksOpen--;
    }
  }

  async #publish(meta: object): Promise<CheckpointManifest> {
    const { directory, destination, quota } = this.#options;
    this.#files[PAGES] = { bytes: 0, sha256: await this.#appender.finish() };
    this.#files[PAGES].bytes = this.#appender.storedPageCount * 4096;
    await this.#pages.sync();
    await this.#pages.close();
    const digest = await this.#writeIndex();
    await verifyPagesFile(join(directory, PAGES), this.#appender.checksums, this.id);
    const manifest = this.#manifest(digest, meta);
    quota.settle(manifest.storedBytes);
    await syncDirectory(join(directory, IMAGES));
    await replaceFile(join(directory, MANIFEST), encodeManifest(manifest));
    await rename(directory, destination);
    await syncDirectory(dirname(destination));
    await syncDirectory(dirname(directory));
    return manifest;
  }

  /** Gives the memory's digest. */
  async #writeIndex(): Promise<string> {
    const segments = normaliseSegments(this.#appender.segments, this.id);
    const targets = this.#appender.targets.sort(compareTargets);
    const index = encodeIndex({ targets, segments, storedPageCount: this.#appender.storedPageCount });
    const { checksums } = this.#appender;
    const checksumBytes = Buffer.from(checksums.buffer, checksums.byteOffset, checksums.byteLength);
    for (const [name, bytes] of [
      [INDEX, index],
      [CHECKSUMS, checksumBytes],
    ] as const) {
      await replaceFile(join(this.#options.directory, name), bytes);
      this.#files[name] = {
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      };
    }
    return createHash('sha256').update(index).update(checksumBytes).digest('hex');
  }

  #manifest(digest: string, meta: object): CheckpointManifest {
    const { storedPageCount, zeroPageCount } = this.#appender;
    const storedBytes = Object.values(this.#files).reduce((sum, file) => sum + file.bytes, 0);
    return {
      formatVersion: FORMAT_VERSION,
      id: this.id,
      createdAt: new Date().toISOString(),
      pageCount: storedPageCount + zeroPageCount,
      zeroPageCount,
      storedBytes,
      digest,
      files: this.#files,
      meta,
    };
  }

  /** After a failed write nothing that was written is of use: it goes at once, not when someone asks. */
  #fail(operation: string, error: unknown): never {
    void this.abort();
    throw toStoreError(error, `page store ${operation}`, this.id);
  }

  #assertWriting(operation: string): void {
    if (this.#phase === 'writing') return;
    throw new OffloadError(
      'invalid_state',
      `page store ${operation}: checkpoint ${this.id} is ${this.#phase}`,
    );
  }
}
