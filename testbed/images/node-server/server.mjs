/**
 * The demo's Node server: a heap full of records, and requests that walk some of them.
 * Environment: HEAP_MIB (mebibytes of records), PORT.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { createRecordMaker, recordCount, walk } from './records.mjs';

const HEAP_MIB_MAX = 768;
const STREAM_BYTES_MAX = 16 * 1024 ** 3;
/** Records made between two looks at the sockets, so that /healthz answers during the build. */
const BUILD_SLICE_COUNT = 4096;
const STREAM_CHUNK = Buffer.alloc(64 * 1024, 'offload ');

const heapMiB = integer('HEAP_MIB', process.env.HEAP_MIB ?? '160', 1, HEAP_MIB_MAX);
const port = integer('PORT', process.env.PORT ?? '8080', 0, 65_535);
const total = recordCount(heapMiB);
/** Objects and strings of V8's own heap: a buffer's bytes would lie outside it. */
const records = new Map();

class BadRequest extends Error {}

function integer(name, text, min, max) {
  const value = Number(text);
  if (text !== null && text !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new BadRequest(`${name} is ${JSON.stringify(text)}, not an integer from ${min} to ${max}`);
}

function buildSlice(makeRecord) {
  const end = Math.min(total, records.size + BUILD_SLICE_COUNT);
  for (let index = records.size; index < end; index += 1) {
    records.set(index, { index, length: 0, text: makeRecord(index) });
    records.get(index).length = records.get(index).text.length;
  }
  if (records.size < total) setImmediate(buildSlice, makeRecord);
}

function digest(indices) {
  const hash = createHash('sha256');
  let count = 0;
  for (const index of indices) {
    hash.update(records.get(index).text, 'latin1');
    count += 1;
  }
  return { sha256: hash.digest('hex'), count, total };
}

function* chunks(byteCount) {
  for (let left = byteCount; left > 0; left -= STREAM_CHUNK.length) {
    yield left >= STREAM_CHUNK.length ? STREAM_CHUNK : STREAM_CHUNK.subarray(0, left);
  }
}

async function sink(request) {
  let bytes = 0;
  let crc = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    crc = crc32(chunk, crc);
  }
  return { bytes, crc32: crc };
}

function sendJson(response, status, body) {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function answer(request, response) {
  const url = new URL(request.url ?? '/', 'http://container');
  const built = records.size === total;
  const call = `${request.method} ${url.pathname}`;
  if (call === 'GET /healthz') {
    return sendJson(response, built ? 200 : 503, { built: records.size, total, heapMiB });
  }
  if (!built) return sendJson(response, 503, { error: 'the heap is still being built' });
  if (call === 'GET /digest/all') return sendJson(response, 200, digest(records.keys()));
  if (call === 'GET /digest') {
    const from = integer('from', url.searchParams.get('from') ?? '0', 0, Number.MAX_SAFE_INTEGER);
    const count = integer('count', url.searchParams.get('count') ?? '2000', 1, total);
    return sendJson(response, 200, digest(walk(total, from, count)));
  }
  if (call === 'GET /stream') {
    const byteCount = integer('bytes', url.searchParams.get('bytes'), 0, STREAM_BYTES_MAX);
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': byteCount });
    return await pipeline(Readable.from(chunks(byteCount)), response);
  }
  if (call === 'POST /sink') return sendJson(response, 200, await sink(request));
  return sendJson(response, 404, { error: `no ${call} here` });
}

/** Rings that libuv holds open. With any, CRIU refuses the process: the log says so before the checkpoint does. */
function ioUringCount() {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return links.filter((link) => link.includes('io_uring')).length;
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (response.headersSent) response.destroy();
    else sendJson(response, error instanceof BadRequest ? 400 : 500, { error: error.message });
  });
});
server.listen(port, () => {
  console.log(
    JSON.stringify({ listening: server.address().port, heapMiB, total, ioUringCount: ioUringCount() }),
  );
  setImmediate(buildSlice, createRecordMaker());
});
// As process 1 of a container nothing ends it unless it does so itself.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
