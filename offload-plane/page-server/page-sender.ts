/**
 * Sends pages over one connection. Answers to faults are written at once; everything else waits for
 * credit and for room in the socket, so that an answer never stands behind more than `queueBytes`.
 */
import type { Duplex } from 'node:stream';
import {
  encodeFrame,
  encodeHeader,
  encodeRange,
  encodeRanges,
  FrameType,
  HEADER_BYTES,
  MAX_PAGES_PER_FRAME,
  MAX_PAYLOAD_BYTES,
  PAGE_BYTES,
  PageFlag,
  RANGE_BYTES,
} from '../../interconnect/page-protocol.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { OrderRun } from '../order-log/contract.ts';
import type { BatchReader, CheckpointReader, PageBytes } from '../page-store/contract.ts';
import type { MapState } from './map-state.ts';
import type { RestorePlan } from './plan.ts';
import { type Cause, FileWork, PushWork } from './work.ts';

const FRAME_BYTES = HEADER_BYTES + MAX_PAYLOAD_BYTES;
const RANGES_PER_FRAME = Math.floor(MAX_PAYLOAD_BYTES / RANGE_BYTES);
/** More credit than this is no credit but a mistake; 4 TiB in flight. */
const MAX_CREDIT_PAGES = 2 ** 30;
/** A thread has one fault at a time: of `queueBytes` so many times only a pager that means harm leaves unread. */
const UNREAD_FACTOR = 32;
const FLAGS = { demand: PageFlag.DEMAND, push: PageFlag.PUSH, fill: PageFlag.FILL } as const;

export interface PageSenderOptions {
  stream: Duplex;
  reader: CheckpointReader;
  plan: RestorePlan;
  map: MapState;
  pushRuns: readonly OrderRun[];
  queueBytes: number;
  onSent(cause: Cause, pageCount: number): void;
  onEnd(): void;
  onError(error: unknown): void;
}

/** Pages to send, and the beginning of their frame. */
interface Parcel {
  cause: Cause;
  pages: Uint32Array;
  head: Buffer;
}

interface Frame extends Parcel {
  bytes: PageBytes;
}

export class PageSender {
  readonly #options: PageSenderOptions;
  readonly #files: FileWork | undefined;
  readonly #push: PushWork;
  readonly #batches: BatchReader;
  #stage: 'files' | 'push' | 'fill' = 'files';
  #creditPages = 0;
  #fillStarted = false;
  /** Read and verified, and waiting for room in the socket. */
  #frame: Frame | undefined;
  /** The present kind of work has nothing more to take. */
  #exhausted = false;
  #endSent = false;
  #running = false;
  #poked = false;
  #stopped = false;

  /** @param withFiles false on a resumed connection: the files were whole before, or there is no resume. */
  constructor(options: PageSenderOptions, withFiles: boolean) {
    const { plan, reader, pushRuns, map } = options;
    this.#options = options;
    this.#files = withFiles ? new FileWork(plan.files, reader) : undefined;
    this.#push = new PushWork(pushRuns, map);
    this.#batches = reader.batches();
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
  demand(task: number, vaddr: bigint, page: number): void {
    const { stream, queueBytes, reader } = this.#options;
    if (stream.writableLength > queueBytes * UNREAD_FACTOR) {
      throw new OffloadError(
        'page_protocol_violation',
        `answer fault: ${stream.writableLength} bytes are unread, over the limit of ${queueBytes * UNREAD_FACTOR} bytes`,
      );
    }
    const tableEnd = HEADER_BYTES + RANGE_BYTES;
    const frame = Buffer.allocUnsafe(tableEnd + PAGE_BYTES);
    reader.readIntoSync({ kind: 'task', id: task }, vaddr, 1, frame, tableEnd);
    this.#encodeHead('demand', Uint32Array.of(page), frame);
    this.#write(frame);
    this.#options.onSent('demand', 1);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Whether there is nothing to send but answers. */
  get isIdle(): boolean {
    return this.#stage !== 'files' && this.#exhausted && this.#frame === undefined;
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
        while (!this.#stopped && ((await this.#sendNext()) || this.#advance()));
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
    return !this.#stopped && (queuedBytes === 0 || queuedBytes + FRAME_BYTES <= this.#options.queueBytes);
  }

  /** One frame of at most 64 pages; false when there is none to send, or no room for the next one. */
  async #sendNext(): Promise<boolean> {
    this.#frame ??= await this.#readNext();
    if (this.#frame === undefined || !this.#hasRoom()) return false;
    const { cause, pages } = this.#frame;
    this.#writeFrame(this.#frame);
    this.#frame = undefined;
    this.#options.onSent(cause, pages.length);
    return true;
  }

  async #readNext(): Promise<Frame | undefined> {
    const maxPages = Math.min(MAX_PAGES_PER_FRAME, this.#creditPages);
    const parcel = maxPages > 0 ? this.#next(maxPages) : undefined;
    this.#exhausted = maxPages > 0 && parcel === undefined;
    if (parcel === undefined) return undefined;
    this.#creditPages -= parcel.pages.length;
    return { ...parcel, bytes: await this.#batches.read(parcel.pages) };
  }

  #next(maxPages: number): Parcel | undefined {
    if (this.#stage === 'files') return this.#nextOfFiles(maxPages);
    const cause = this.#stage;
    const pages = cause === 'push' ? this.#push.take(maxPages) : this.#options.map.takeNext(maxPages);
    return pages.length === 0 ? undefined : { cause, pages, head: this.#encodeHead(cause, pages) };
  }

  #nextOfFiles(maxPages: number): Parcel | undefined {
    const taken = this.#files?.take(maxPages);
    if (taken === undefined) return undefined;
    const { pagesId, offsetBytes, pages } = taken;
    const header = { type: FrameType.FILE_PAGES, flags: 0, task: pagesId, vaddr: BigInt(offsetBytes) };
    const value = this.#options.reader.frameDigest(pages);
    const head = Buffer.allocUnsafe(HEADER_BYTES);
    const payloadBytes = pages.length * PAGE_BYTES;
    encodeHeader({ ...header, pageCount: pages.length, payloadBytes, value }, head);
    return { cause: 'file', pages, head };
  }

  /** Goes on to the next kind of work, between two frames; false when there is none yet. */
  #advance(): boolean {
    if (this.#frame !== undefined) return false;
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

  /** Header and table of a PAGES frame. */
  #encodeHead(
    cause: 'demand' | 'push' | 'fill',
    pages: Uint32Array,
    into = Buffer.allocUnsafe(HEADER_BYTES + pages.length * RANGE_BYTES),
  ): Buffer {
    const { reader } = this.#options;
    let end = HEADER_BYTES;
    for (let i = 0, after = 0; i < pages.length; i = after) {
      const { id, vaddr, firstStoredPage, pageCount } = reader.storedSegment(pages[i]!);
      const skipped = pages[i]! - firstStoredPage;
      const most = Math.min(pages.length, i + pageCount - skipped);
      for (after = i + 1; after < most && pages[after] === pages[after - 1]! + 1; ) after++;
      encodeRange({ task: id, vaddr: vaddr + BigInt(skipped * PAGE_BYTES), pageCount: after - i }, into, end);
      end += RANGE_BYTES;
    }
    const payloadBytes = end - HEADER_BYTES + pages.length * PAGE_BYTES;
    const header = { type: FrameType.PAGES, flags: FLAGS[cause], task: 0, vaddr: 0n, payloadBytes };
    encodeHeader({ ...header, pageCount: pages.length, value: reader.frameDigest(pages) }, into);
    return into.subarray(0, end);
  }

  #sendEndWhenAllSent(): void {
    if (this.#endSent || this.#stopped || this.#frame !== undefined || this.#stage === 'files') return;
    if (this.#options.map.unsentCount > 0) return;
    this.#endSent = true;
    this.#write(encodeFrame({ type: FrameType.END }));
    this.#options.onEnd();
  }

  /** By one system call. */
  #writeFrame({ head, bytes: { pieces, release } }: Frame): void {
    const { stream } = this.#options;
    if (stream.destroyed) {
      release();
      return;
    }
    stream.cork();
    stream.write(head);
    const last = pieces.pop()!;
    for (const piece of pieces) stream.write(piece);
    stream.write(last, () => {
      release();
      this.poke();
    });
    stream.uncork();
  }

  /** Whatever was written, there may be room for the next frame afterwards. */
  #write(bytes: Buffer): void {
    if (this.#options.stream.destroyed || this.#stopped) return;
    this.#options.stream.write(bytes, () => this.poke());
  }
}
