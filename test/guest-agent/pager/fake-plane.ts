/**
 * A plane of a few lines for the pager's tests: serves the pages of local CRIU images over a Unix socket
 * and misbehaves on request. Which pages come when is each test's to say.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  decodeCounters,
  decodeHeader,
  decodeRanges,
  encodeFrame,
  encodePages,
  encodeRanges,
  type FrameHeader,
  FrameType,
  HEADER_BYTES,
  PAGE_BYTES,
  PageFlag,
  type PageRange,
  type PagerCounters,
} from '../../../interconnect/page-protocol.ts';
import { loadHasher } from './hasher.ts';

const { digest64 } = await loadHasher();
const TASK = 1000;

interface Run {
  vaddr: bigint;
  pageCount: number;
  offset: number;
}

/** The lazy runs of the heap's pagemap, and where their bytes are. */
function readImages(directory: string): { runs: Run[]; pages: Buffer } {
  const image = readFileSync(join(directory, `pagemap-${TASK}.img`));
  const runs: Run[] = [];
  let offset = 0;
  for (let at = 8 + 4 + image.readUInt32LE(8); at < image.length; ) {
    const end = at + 4 + image.readUInt32LE(at);
    const fields = readVarints(image.subarray(at + 4, end));
    const [vaddr, flags] = [fields.get(1)!, fields.get(4) ?? 4n];
    const pageCount = Number(fields.get(5) ?? fields.get(2));
    if (flags & 2n) runs.push({ vaddr, pageCount, offset });
    if (flags & 4n) offset += pageCount * PAGE_BYTES;
    at = end;
  }
  return { runs, pages: readFileSync(join(directory, 'pages-1.img')) };
}

function readVarints(message: Buffer): Map<number, bigint> {
  const numbers: bigint[] = [];
  let [value, shift] = [0n, 0n];
  for (const byte of message) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (byte & 0x80) continue;
    numbers.push(value);
    [value, shift] = [0n, 0n];
  }
  return new Map(numbers.flatMap((key, i) => (i % 2 === 0 ? [[Number(key >> 3n), numbers[i + 1]!]] : [])));
}

export interface Received extends FrameHeader {
  payload: Buffer;
}

export class FakePlane {
  readonly path: string;
  readonly frames: Received[] = [];
  readonly #server: Server;
  readonly #images: ReturnType<typeof readImages>;
  #socket: Socket | undefined;
  #waiters: { matches(): boolean; resolve(): void }[] = [];
  connectionCount = 0;
  /** Called for each fault; the default answers it. */
  onFault: (vaddr: bigint) => void = (vaddr) => this.sendPages(vaddr, 1, PageFlag.DEMAND);

  constructor(path: string, images: string) {
    this.path = path;
    this.#images = readImages(images);
    this.#server = createServer((socket) => this.#accept(socket)).listen(path);
  }

  get pageCount(): number {
    return this.#images.runs.reduce((sum, run) => sum + run.pageCount, 0);
  }

  get ranges(): PageRange[] {
    return this.#images.runs.map(({ vaddr, pageCount }) => ({ task: TASK, vaddr, pageCount }));
  }

  send(header: Parameters<typeof encodeFrame>[0], payload?: Buffer): void {
    this.#socket!.write(encodeFrame(header, payload));
  }

  sendRaw(bytes: Buffer): void {
    this.#socket!.write(bytes);
  }

  sendMap(): void {
    for (let i = 0; i < this.ranges.length; i += 1000) {
      this.send({ type: FrameType.MAP }, encodeRanges(this.ranges.slice(i, i + 1000)));
    }
    this.send({ type: FrameType.MAP_END, value: BigInt(this.pageCount) });
    this.send({ type: FrameType.FILES_END });
  }

  bytesAt(vaddr: bigint, pageCount: number): Buffer {
    const run = this.#images.runs.find(
      (one) => vaddr >= one.vaddr && vaddr < one.vaddr + BigInt(one.pageCount * PAGE_BYTES),
    )!;
    const from = run.offset + Number(vaddr - run.vaddr);
    return this.#images.pages.subarray(from, from + pageCount * PAGE_BYTES);
  }

  sendPages(vaddr: bigint, pageCount: number, flags: number, spoil?: (payload: Buffer) => void): void {
    this.sendRanges([{ task: TASK, vaddr, pageCount }], flags, spoil);
  }

  /** In one frame. */
  sendRanges(ranges: readonly PageRange[], flags: number, spoil?: (payload: Buffer) => void): void {
    const pages = Buffer.concat(ranges.map(({ vaddr, pageCount }) => this.bytesAt(vaddr, pageCount)));
    const value = frameDigest(pages);
    spoil?.(pages);
    this.sendRaw(encodePages({ flags, value }, ranges, pages));
  }

  /** Everything in these ranges; as the tests are small, without regard to credit. */
  sendAll(ranges: readonly PageRange[], flags: number): void {
    for (const { vaddr, pageCount } of ranges)
      for (let page = 0; page < pageCount; page += 64)
        this.sendPages(vaddr + BigInt(page * PAGE_BYTES), Math.min(64, pageCount - page), flags);
  }

  /** Waits until so many frames of the type have come; the last of them. */
  async received(type: number, count = 1): Promise<Received> {
    await this.#until(() => this.frames.filter((frame) => frame.type === type).length >= count);
    return this.frames.filter((frame) => frame.type === type)[count - 1]!;
  }

  /** Its last word, which is taken. */
  async done(): Promise<PagerCounters> {
    const { payload } = await this.received(FrameType.DONE);
    this.send({ type: FrameType.END });
    return decodeCounters(payload);
  }

  missing(): PageRange[] {
    return this.frames
      .filter((frame) => frame.type === FrameType.MISSING)
      .flatMap((f) => decodeRanges(f.payload));
  }

  /** The digest of all pages of the map, as the header file defines it. */
  memoryDigest(): bigint {
    let sum = 0n;
    const part = Buffer.alloc(24);
    part.writeBigUInt64LE(BigInt(TASK), 8);
    for (const { vaddr, pageCount } of this.ranges)
      for (let i = 0; i < pageCount; i++) {
        const at = vaddr + BigInt(i * PAGE_BYTES);
        part.writeBigUInt64LE(digest64(this.bytesAt(at, 1)), 0);
        part.writeBigUInt64LE(at, 16);
        sum = BigInt.asUintN(64, sum + digest64(part));
      }
    return sum;
  }

  cut(): void {
    this.#socket?.destroy();
  }

  /** As `cut`, after all that was sent. */
  hangUp(): void {
    this.#socket?.end();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    this.connectionCount++;
    this.#socket = socket;
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= HEADER_BYTES) {
        const header = decodeHeader(rest);
        const end = HEADER_BYTES + header.payloadBytes;
        if (rest.length < end) return;
        this.#take({ ...header, payload: rest.subarray(HEADER_BYTES, end) });
        rest = rest.subarray(end);
      }
    });
  }

  #take(frame: Received): void {
    this.frames.push(frame);
    if (frame.type === FrameType.FAULT) this.onFault(frame.vaddr);
    this.#waiters = this.#waiters.filter((waiter) => {
      if (!waiter.matches()) return true;
      waiter.resolve();
      return false;
    });
  }

  async #until(matches: () => boolean): Promise<void> {
    if (matches()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error('the pager did not send what was waited for')),
        180_000,
      );
      this.#waiters.push({
        matches,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }
}

export function frameDigest(payload: Buffer): bigint {
  const digests = Buffer.alloc((payload.length / PAGE_BYTES) * 8);
  for (let i = 0; i < payload.length / PAGE_BYTES; i++) {
    digests.writeBigUInt64LE(digest64(payload.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES)), i * 8);
  }
  return digest64(digests);
}
