/**
 * Writes one checkpoint under incoming/ and publishes it as a whole: every file synced, the pages read
 * back, the manifest last, then one rename. Until that rename nobody can open it.
 */
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
import { describeCheckpoint, writeIndexFiles } from './describe.ts';
import { removeTree, replaceFile, syncDirectory, toStoreError } from './durable.ts';
import { writeSource } from './file-sink.ts';
import type { StoreFileSystem } from './file-system.ts';
import type { Inheritance } from './inheritance.ts';
import { PAGE_BYTES } from './limits.ts';
import { encodeManifest } from './manifest.ts';
import { assertImageName, IMAGES, MANIFEST, PAGES, ROOTFS_DIFF } from './names.ts';
import { PageAppender } from './page-appender.ts';
import { createPagesFile, type PagesFile } from './pages-file.ts';
import type { QuotaShare } from './quota.ts';
import { verifyPagesFile } from './verify.ts';
import type { WriterSources } from './writer-sources.ts';

export interface WriterOptions {
  fs: StoreFileSystem;
  id: string;
  tenant: string | undefined;
  /** incoming/<id>, which must not exist. */
  directory: string;
  /** checkpoints/<id>. */
  destination: string;
  limits: StoreLimits;
  quota: QuotaShare;
  sources: WriterSources;
  /** Makes sure that the quota has room for so many bytes more. */
  makeRoom(bytes: number): Promise<void>;
  /** Called once, when nothing more will be written. */
  onEnd(manifest: CheckpointManifest | undefined): Promise<void>;
}

export async function createWriter(options: WriterOptions): Promise<StoreWriter> {
  const { fs, directory } = options;
  await fs.mkdir(join(directory, IMAGES), { recursive: true });
  return new StoreWriter(options, await createPagesFile(fs, join(directory, PAGES)));
}

class StoreWriter implements CheckpointWriter {
  readonly id: string;
  readonly #options: WriterOptions;
  readonly #pages: PagesFile;
  readonly #appender: PageAppender;
  readonly #files: Record<string, StoredFile> = {};
  #phase: 'writing' | 'committing' | 'committed' | 'aborted' = 'writing';
  #sinksOpen = 0;
  #imagesBytes = 0;
  #removal: Promise<void> | undefined;
  /** Where it lies: under incoming/ until it is published. */
  #location: string;

  constructor(options: WriterOptions, pages: PagesFile) {
    this.id = options.id;
    this.#options = options;
    this.#pages = pages;
    this.#location = options.directory;
    const { limits, quota, sources } = options;
    const { known } = sources;
    this.#appender = new PageAppender({ file: pages, subject: options.id, limits, quota, known });
  }

  async reserve(bytes: number): Promise<void> {
    this.#assertWriting('reserve');
    await this.#options.makeRoom(bytes);
  }

  parentHas(target: PageTarget): boolean {
    return this.#options.sources.inheritance?.has(target) ?? false;
  }

  inheritPages(target: PageTarget, vaddr: bigint, pageCount: number): void {
    this.#inheritance('inherit pages').inherit({ target, vaddr, pageCount });
  }

  removePages(target: PageTarget, vaddr: bigint, pageCount: number): void {
    this.#inheritance('remove pages').remove({ target, vaddr, pageCount });
  }

  #inheritance(operation: string): Inheritance {
    this.#assertWriting(operation);
    const { inheritance } = this.#options.sources;
    if (inheritance !== undefined) return inheritance;
    throw new OffloadError('invalid_state', `page store ${operation}: checkpoint ${this.id} has no parent`);
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
      await this.#options.onEnd(manifest);
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
    const { fs, directory } = this.#options;
    // One that was published goes out of sight in one step, as its sync has failed.
    if (this.#location !== directory) await fs.rename(this.#location, directory).catch(() => {});
    for (const path of [directory, this.#location]) await removeTree(fs, path);
    await this.#options.onEnd(undefined);
  }

  async #addFile(name: string, source: Readable | Buffer, limitBytes: number): Promise<StoredFile> {
    this.#assertWriting(`add ${name}`);
    if (this.#files[name] !== undefined) {
      throw new OffloadError('already_exists', `page store ${this.id}: ${name} is there already`);
    }
    this.#sinksOpen++;
    try {
      const stored = await writeSource(source, {
        fs: this.#options.fs,
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
    const { fs, directory, destination, sources } = this.#options;
    await sources.inheritance?.resolve(this.#appender);
    await this.#appender.finish();
    this.#files[PAGES] = { bytes: this.#appender.ownPageCount * PAGE_BYTES };
    await this.#pages.sync();
    await this.#pages.close();
    const { digest, files } = await writeIndexFiles(fs, directory, this.#appender, this.id);
    Object.assign(this.#files, files);
    await verifyPagesFile(fs, join(directory, PAGES), this.#appender.ownChecksums(), this.id);
    const { tenant } = this.#options;
    const parent = sources.inheritance?.parentId;
    const shared = await sources.shared.finish();
    const facts = { id: this.id, digest, tenant, parent, files: this.#files, shared, meta };
    const manifest = describeCheckpoint(this.#appender, facts);
    await syncDirectory(fs, join(directory, IMAGES));
    await replaceFile(fs, join(directory, MANIFEST), Buffer.from(encodeManifest(manifest)));
    await fs.rename(directory, destination);
    this.#location = destination;
    await syncDirectory(fs, dirname(destination));
    await syncDirectory(fs, dirname(directory));
    return manifest;
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
