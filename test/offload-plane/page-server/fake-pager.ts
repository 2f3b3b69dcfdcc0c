/** A pager in TypeScript that speaks the protocol: it keeps what arrives and checks every digest. */
import { type Duplex, duplexPair } from 'node:stream';
import {
  decodeHeader,
  decodePages,
  decodeRanges,
  encodeCounters,
  encodeFrame,
  encodeRanges,
  type FrameHeader,
  FrameType,
  HEADER_BYTES,
  HELLO_RESUME,
  PAGE_BYTES,
  PageFlag,
  type PageRange,
  type PagerCounters,
  PROTOCOL_VERSION,
} from '../../../interconnect/page-protocol.ts';
import type { PageServer } from '../../../offload-plane/page-server/contract.ts';
import { addDigests, pageContribution } from '../../../offload-plane/page-store/digests.ts';
import { xxh64 } from '../../../platform/xxhash.ts';

const FRAME_DEADLINE_MS = 120_000;

export interface Arrival {
  type: number;
  flags: number;
  task: number;
  vaddr: bigint;
  pageCount: number;
}

export class FakePager {
  readonly stream: Duplex;
  readonly arrivals: Arrival[] = [];
  readonly map: PageRange[] = [];
  /** `task:vaddr` to the page. */
  readonly pages = new Map<string, Buffer>();
  /** pages-<id>.img by id. */
  readonly files = new Map<number, Buffer>();
  readonly seen: FrameHeader[] = [];
  readonly counters: PagerCounters = {
    installed: 0,
    demandFaults: 0,
    zeroFaults: 0,
    pushed: 0,
    filled: 0,
    duplicates: 0,
    dropped: 0,
    filePages: 0,
    memoryDigest: 0n,
    uptimeUs: 0,
  };
  text = '';
  closed = false;
  /** Credit is given back as pages arrive. */
  giveBack = true;
  #bytes = Buffer.alloc(0);
  #waiting: { type: number; resolve: (header: FrameHeader) => void }[] = [];

  constructor(server: Pick<PageServer, 'acceptPager'>, guest = 'g1') {
    const [near, far] = duplexPair();
    this.stream = near;
    near.on('data', (chunk: Buffer) => this.#take(chunk));
    near.on('close', () => {
      this.closed = true;
    });
    near.on('end', () => near.end());
    near.on('error', () => {});
    // As a socket does: what was written is the writer's again once that is said.
    const write = far._write.bind(far);
    far._write = (chunk: Buffer, encoding, done) => write(Buffer.from(chunk), encoding, done);
    server.acceptPager(far, guest);
  }

  hello(token: string, flags = 0): void {
    this.send({ type: FrameType.HELLO, flags, value: BigInt(PROTOCOL_VERSION) }, Buffer.from(token, 'hex'));
  }

  /** As another connection of the same pager: what has come stays. */
  goesOnFrom({ map, pages, files, counters }: FakePager): void {
    this.map.push(...map);
    for (const [key, page] of pages) this.pages.set(key, page);
    for (const [id, bytes] of files) this.files.set(id, bytes);
    Object.assign(this.counters, counters);
  }

  /** Of the map, what has not come. */
  missing(): PageRange[] {
    return this.map
      .flatMap(({ task, vaddr, pageCount }) =>
        Array.from({ length: pageCount }, (_, page) => ({
          task,
          vaddr: vaddr + BigInt(page * PAGE_BYTES),
          pageCount: 1,
        })),
      )
      .filter(({ task, vaddr }) => !this.pages.has(`${task}:${vaddr}`));
  }

  resume(token: string, missing: PageRange[]): void {
    this.hello(token, HELLO_RESUME);
    if (missing.length > 0) this.send({ type: FrameType.MISSING }, encodeRanges(missing));
    this.send({ type: FrameType.MISSING_END });
  }

  credit(pageCount: number): void {
    this.send({ type: FrameType.CREDIT, pageCount });
  }

  fault(task: number, vaddr: bigint, timeUs = 0): void {
    this.counters.demandFaults++;
    this.send({ type: FrameType.FAULT, task, vaddr, pageCount: 1, value: BigInt(timeUs) });
  }

  restored(): void {
    this.send({ type: FrameType.RESTORED });
  }

  done(): void {
    this.send({ type: FrameType.DONE }, encodeCounters(this.counters));
  }

  send(header: Partial<FrameHeader> & { type: FrameType }, payload?: Buffer): void {
    this.stream.write(encodeFrame(header, payload));
  }

  /** Resolves at the next frame of a type, or at once when one was seen. */
  frame(type: number): Promise<FrameHeader> {
    const seen = this.seen.find((header) => header.type === type);
    if (seen !== undefined) return Promise.resolve(seen);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no frame of type ${type} within ${FRAME_DEADLINE_MS} ms`)),
        FRAME_DEADLINE_MS,
      );
      this.#waiting.push({
        type,
        resolve: (header) => {
          clearTimeout(timer);
          resolve(header);
        },
      });
    });
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= HEADER_BYTES) {
      const header = decodeHeader(this.#bytes);
      const end = HEADER_BYTES + header.payloadBytes;
      if (this.#bytes.length < end) return;
      const payload = Buffer.from(this.#bytes.subarray(HEADER_BYTES, end));
      this.#bytes = this.#bytes.subarray(end);
      this.#frame(header, payload);
    }
  }

  #frame(header: FrameHeader, payload: Buffer): void {
    this.seen.push(header);
    if (header.type === FrameType.MAP) this.map.push(...decodeRanges(payload));
    if (header.type === FrameType.PAGES) this.#pages(header, payload);
    if (header.type === FrameType.FILE_PAGES) this.#file(header, payload);
    if (header.type === FrameType.MARK) {
      this.send({ type: FrameType.STATUS, value: header.value }, encodeCounters(this.counters));
    }
    if (header.type === FrameType.ERROR || header.type === FrameType.ABORT) this.text = String(payload);
    const { type, flags } = header;
    const ranges = type === FrameType.PAGES ? decodePages(header, payload).ranges : [header];
    for (const { task, vaddr, pageCount } of ranges)
      this.arrivals.push({ type, flags, task, vaddr, pageCount });
    const woken = this.#waiting.filter((waiting) => waiting.type === header.type);
    this.#waiting = this.#waiting.filter((waiting) => waiting.type !== header.type);
    for (const waiting of woken) waiting.resolve(header);
  }

  #digests(header: FrameHeader, payload: Buffer): bigint[] {
    const digests = [];
    const bytes = Buffer.alloc(header.pageCount * 8);
    for (let i = 0; i < header.pageCount; i++) {
      const digest = xxh64(payload.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES));
      bytes.writeBigUInt64LE(digest, i * 8);
      digests.push(digest);
    }
    if (xxh64(bytes) !== header.value) throw new Error('frame digest does not match');
    return digests;
  }

  #pages(header: FrameHeader, payload: Buffer): void {
    const { ranges, pages } = decodePages(header, payload);
    const digests = this.#digests(header, pages);
    let at = 0;
    for (const { task, vaddr, pageCount } of ranges) {
      for (let i = 0; i < pageCount; i++, at++) {
        const page = pages.subarray(at * PAGE_BYTES, (at + 1) * PAGE_BYTES);
        this.#page(header.flags, task, vaddr + BigInt(i * PAGE_BYTES), page, digests[at]!);
      }
    }
    if (this.giveBack && header.flags !== PageFlag.DEMAND) this.credit(header.pageCount);
  }

  #page(flags: number, task: number, vaddr: bigint, page: Buffer, digest: bigint): void {
    const key = `${task}:${vaddr}`;
    if (this.pages.has(key)) {
      this.counters.duplicates++;
      return;
    }
    this.pages.set(key, page);
    this.counters.installed++;
    if (flags === PageFlag.PUSH) this.counters.pushed++;
    if (flags === PageFlag.FILL) this.counters.filled++;
    const part = pageContribution(digest, 'task', task, vaddr);
    this.counters.memoryDigest = addDigests(this.counters.memoryDigest, part);
  }

  #file(header: FrameHeader, payload: Buffer): void {
    this.#digests(header, payload);
    const before = this.files.get(header.task) ?? Buffer.alloc(0);
    if (BigInt(before.length) !== header.vaddr) throw new Error('file pages out of order');
    this.files.set(header.task, Buffer.concat([before, payload]));
    this.counters.filePages += header.pageCount;
    if (this.giveBack) this.credit(header.pageCount);
  }
}
