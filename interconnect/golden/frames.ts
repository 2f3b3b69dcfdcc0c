/** One frame of every type, as golden/*.bin holds them. */
import { xxh64 } from '../../platform/xxhash.ts';
import { encodeCounters, encodeFrame, encodePages, encodeRanges, FrameType, HELLO_RESUME, PageFlag, PROTOCOL_VERSION } from '../page-protocol.ts';

const VADDR = 0x7f12_3456_7000n;
const RANGES = [
  { task: 42, vaddr: VADDR, pageCount: 3 },
  { task: 43, vaddr: 0x40_0000n, pageCount: 65 },
];
const COUNTERS = {
  installed: 1,
  demandFaults: 2,
  zeroFaults: 3,
  pushed: 4,
  filled: 5,
  duplicates: 6,
  dropped: 7,
  filePages: 8,
  memoryDigest: 0xfedc_ba98_7654_3210n,
  uptimeUs: 10,
};

/** Two pages: byte i of page p is (i + p) modulo 251. */
function pages(): Buffer {
  return Buffer.from(Array.from({ length: 8192 }, (_, i) => ((i % 4096) + Math.floor(i / 4096)) % 251));
}

function frameDigest(bytes: Buffer): bigint {
  const digests = Buffer.alloc(16);
  digests.writeBigUInt64LE(xxh64(bytes.subarray(0, 4096)), 0);
  digests.writeBigUInt64LE(xxh64(bytes.subarray(4096)), 8);
  return xxh64(digests);
}

export function goldenFrames(): Record<string, Buffer> {
  const two = pages();
  const value = frameDigest(two);
  const token = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
  const together = [{ task: 42, vaddr: VADDR, pageCount: 2 }];
  const scattered = [
    { task: 43, vaddr: 0x40_2000n, pageCount: 1 },
    { task: 42, vaddr: VADDR + 0x2000n, pageCount: 1 },
  ];
  const version = BigInt(PROTOCOL_VERSION);
  return {
    map: encodeFrame({ type: FrameType.MAP, pageCount: 68 }, encodeRanges(RANGES)),
    'map-end': encodeFrame({ type: FrameType.MAP_END, value: 68n }),
    'pages-demand': encodePages({ flags: PageFlag.DEMAND, value }, together, two),
    'pages-push': encodePages({ flags: PageFlag.PUSH, value }, scattered, two),
    'pages-fill': encodePages({ flags: PageFlag.FILL, value }, together, two),
    'file-pages': encodeFrame({ type: FrameType.FILE_PAGES, task: 1, vaddr: 0x2000n, pageCount: 2, value }, two),
    'files-end': encodeFrame({ type: FrameType.FILES_END, value: 2n }),
    mark: encodeFrame({ type: FrameType.MARK, value: 9n }),
    end: encodeFrame({ type: FrameType.END }),
    abort: encodeFrame({ type: FrameType.ABORT }, Buffer.from('page session: closed by the plane')),
    hello: encodeFrame({ type: FrameType.HELLO, value: version }, token),
    'hello-resume': encodeFrame({ type: FrameType.HELLO, flags: HELLO_RESUME, value: version }, token),
    credit: encodeFrame({ type: FrameType.CREDIT, pageCount: 512 }),
    fault: encodeFrame({ type: FrameType.FAULT, task: 42, vaddr: VADDR, pageCount: 1, value: 123_456n }),
    restored: encodeFrame({ type: FrameType.RESTORED }),
    status: encodeFrame({ type: FrameType.STATUS, value: 9n }, encodeCounters(COUNTERS)),
    done: encodeFrame({ type: FrameType.DONE }, encodeCounters(COUNTERS)),
    error: encodeFrame({ type: FrameType.ERROR }, Buffer.from('page session: digest mismatch')),
    missing: encodeFrame({ type: FrameType.MISSING }, encodeRanges(RANGES)),
    'missing-end': encodeFrame({ type: FrameType.MISSING_END }),
  };
}
