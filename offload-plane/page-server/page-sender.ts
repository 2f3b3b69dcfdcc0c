/**
 * Sends pages over one connection. Answers to faults are written at once; everything else waits for
 * credit and for room in the socket, so that an answer never stands behind more than `queueBytes`.
 */
import type { Duplex } from 'node:stream';
import {
  encodeFrame,
  encodeHeader,
  encodeRanges,
  FrameType,
  HEADER_BYTES,
  MAX_PAGES_PER_FRAME,
  MAX_PAYLOAD_BYTES,
  PAGE_BYTES,
  RANGE_BYTES,
} from '../../interconnect/page-protocol.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { OrderRun } from '../order-log/contract.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { MapState } from './map-state.ts';
import type { RestorePlan } from './plan.ts';
import { FileWork, type Parcel, PushWork, pagesParcel } from './work.ts';

/** A batch is at most 64 pages, in the worst case each in a frame of its own. */
const BATCH_BYTES = MAX_PAGES_PER_FRAME * (PAGE_BYTES + HEADER_BYTES);
const RANGES_PER_FRAME = Math.floor(MAX_PAYLOAD_BYTES / RANGE_BYTES);
/** More credit than this is no credit but a mistake; 4 TiB in flight. */
const MAX_CREDIT_PAGES = 2 ** 30;
const FREE_BATCHES = 4;
/** A thread has one fault at a time: of `queueBytes` so many times only a pager that means harm leaves unread. */
const UNREAD_FACTOR = 32;

export interface PageSenderOptions {
  stream: Duplex;
  reader: CheckpointReader;
  plan: RestorePlan;
  map: MapState;
  pushRuns: readonly OrderRun[];
  queueBytes: number;
  onSent(parcel: Parcel): void;
  onEnd(): void;
  onError(error: unknown): void;
}

export class PageSender {
  readonly #options: PageSenderOptions;
  readonly #free: Buffer[] = [];
  readonly #files: FileWork | undefined;
  readonly #push: PushWork;
  #stage: 'files' | 'push' | 'fill' = 'files';
  #creditPages = 0;
  #fillStarted = false;
  /** The present kind of work has nothing more to take. */
  #exhausted = false;
  #endSent = false;
  #running = false;
  #poked = false;
  #stopped = false;

  /** @param withFiles false on a resumed connection: the files were whole before, or there is no resume. */
  constructor(options: PageSenderOptions, withFiles: boolean) {
    this.#options = options;
    this.#files = withFiles ? new FileWork(options.plan.files) : undefined;
    this.#push = new PushWork(options.pushRuns, options.map);
  }

  sendMap(): void {
    const { map, mappedPageCount } = this.#options.plan;
    for (let i = 0; i < map.length; i += RANGES_PER_FRAME) {
      const ranges = map.slice(i, i + RANGES_PER_FRAME);
      const pageCount = ranges.reduce((sum, range) => sum + range.pageCount, 0);
      this.#write(encodeFrame({ type: FrameType.MAP, pageCount }, encodeRanges(ranges)));
    }
    this.#write(encodeFrame({ type: FrameType.MAP_END, value: BigInt(mappedPageCount) }));
  }

  mark(sequence: bigint): void {
    this.#write(encodeFrame({ type: FrameType.MARK, value: sequence }));
  }

  addCredit(pageCount: number): void {
    this.#creditPages = Math.min(MAX_CREDIT_PAGES, this.#creditPages + pageCount);
    this.poke();
  }

  startFill(): void {
    this.#fillStarted = true;
    this.poke();
  }

  /**
   * Answers a fault, ahead of everything that is not in the socket yet, and without credit.
   * @throws {OffloadError} page_protocol_violation from a pager that asks and does not read
   */
  demand(task: number, vaddr: bigint, first: boolean): void {
    const { stream, queueBytes } = this.#options;
    if (stream.writableLength > queueBytes * UNREAD_FACTOR) {
      throw new OffloadError(
        'page_protocol_violation',
        `answer fault: ${stream.writableLength} bytes are unread, over the limit of ${queueBytes * UNREAD_FACTOR} bytes`,
      );
    }
    const parcel = pagesParcel('demand', task, vaddr, 1);
    parcel.first = first;
    const frame = Buffer.allocUnsafe(HEADER_BYTES + PAGE_BYTES);
    this.#options.reader.readIntoSync(parcel.target, vaddr, 1, frame, HEADER_BYTES);
    this.#encodeParcel(parcel, frame, 0);
    this.#write(frame);
    this.#options.onSent(parcel);
    this.poke();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Goes on with the work list if it can. */
  poke(): void {
    if (this.#running) {
      this.#poked = true;
      return;
    }
    void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      do {
        this.#poked = false;
        while (this.#hasRoom() && ((await this.#sendBatch()) || this.#advance()));
      } while (this.#poked && !this.#stopped);
      this.#sendEndWhenAllSent();
    } catch (error) {
      if (!this.#stopped) this.#options.onError(error);
    } finally {
      this.#running = false;
    }
  }

  #hasRoom(): boolean {
    const queuedBytes = this.#options.stream.writableLength;
    return !this.#stopped && (queuedBytes === 0 || queuedBytes + BATCH_BYTES <= this.#options.queueBytes);
  }

  /** One batch of at most 64 pages; false when there is nothing to send or no credit to send it. */
  async #sendBatch(): Promise<boolean> {
    const batch = this.#free.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES);
    let bytes = 0;
    for (let pages = 0; pages < MAX_PAGES_PER_FRAME && this.#creditPages > 0; ) {
      const parcel = this.#next(Math.min(MAX_PAGES_PER_FRAME - pages, this.#creditPages));
      if (parcel === undefined) break;
      this.#creditPages -= parcel.pageCount;
      pages += parcel.pageCount;
      await this.#readParcel(parcel, batch, bytes + HEADER_BYTES);
      if (this.#stopped) return false;
      this.#encodeParcel(parcel, batch, bytes);
      bytes += HEADER_BYTES + parcel.pageCount * PAGE_BYTES;
      this.#options.onSent(parcel);
    }
    if (bytes === 0) {
      this.#release(batch);
      return false;
    }
    this.#write(batch.subarray(0, bytes), () => {
      this.#release(batch);
      this.poke();
    });
    return true;
  }

  #next(maxPages: number): Parcel | undefined {
    const parcel = this.#take(maxPages);
    this.#exhausted = parcel === undefined;
    return parcel;
  }

  #take(maxPages: number): Parcel | undefined {
    if (this.#stage === 'files') return this.#files?.take(maxPages);
    if (this.#stage === 'push') return this.#push.take(maxPages);
    const range = this.#options.map.takeNext(maxPages);
    return range && pagesParcel('fill', range.task, range.vaddr, range.pageCount);
  }

  /** Goes on to the next kind of work, between two batches; false when there is none yet. */
  #advance(): boolean {
    if (this.#stage === 'files' && (this.#files?.isDone ?? true)) {
      const value = BigInt(this.#options.plan.filePageCount);
      if (this.#files !== undefined) this.#write(encodeFrame({ type: FrameType.FILES_END, value }));
      this.#stage = 'push';
      return true;
    }
    if (this.#stage !== 'push' || !this.#exhausted || !this.#fillStarted) return false;
    this.#stage = 'fill';
    return true;
  }

  async #readParcel(parcel: Parcel, into: Buffer, offset: number): Promise<void> {
    const { target, vaddr, pageCount } = parcel;
    // A working set was fetched ahead, so reading it costs no wait worth a trip to the thread pool.
    const isFetched =
      parcel.cause === 'push' ||
      (parcel.cause === 'file' && this.#options.plan.effectivePolicy === 'prefill');
    if (isFetched) this.#options.reader.readIntoSync(target, vaddr, pageCount, into, offset);
    else await this.#options.reader.readInto(target, vaddr, pageCount, into, offset);
  }

  #encodeParcel(parcel: Parcel, into: Buffer, offset: number): void {
    const { type, flags, target, vaddr, pageCount } = parcel;
    const payloadBytes = pageCount * PAGE_BYTES;
    const value = this.#options.reader.frameDigest(target, vaddr, pageCount);
    const header = { type, flags, task: parcel.headerTask, vaddr: parcel.headerVaddr, pageCount };
    encodeHeader({ ...header, payloadBytes, value }, into, offset);
  }

  #sendEndWhenAllSent(): void {
    if (this.#endSent || this.#stopped || this.#stage === 'files') return;
    if (this.#options.map.unsentCount > 0) return;
    this.#endSent = true;
    this.#write(encodeFrame({ type: FrameType.END }));
    this.#options.onEnd();
  }

  #release(batch: Buffer): void {
    if (this.#free.length < FREE_BATCHES) this.#free.push(batch);
  }

  /** Whatever was written, there may be room for the next batch afterwards. */
  #write(bytes: Buffer, onWritten = () => this.poke()): void {
    if (this.#options.stream.destroyed || this.#stopped) return;
    this.#options.stream.write(bytes, onWritten);
  }
}
