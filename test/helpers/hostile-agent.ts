/**
 * A program in the place of a guest's agent that means harm: listens on the Unix socket of its first
 * argument and does to every connection what its second says. A process of its own, so that what the plane
 * holds can be told from what the attack holds.
 */
import { once } from 'node:events';
import http2, { type ServerHttp2Stream } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { FRAME_ATTACKS, SETTINGS } from './hostile-frames.ts';

type Answer = (stream: ServerHttp2Stream) => Promise<void> | void;

const OK = { ':status': 200 };
const DRIP_INTERVAL_MS = 20;
const CHUNK = Buffer.alloc(16 * 1024, ' ');

/** Of containers that are none of its own. */
function* events(): Generator<string> {
  for (let sequence = 1; ; sequence += 1) {
    const event = {
      sequence,
      atMs: 1,
      container: `other-${sequence % 7}`,
      event: 'exited',
      exitCode: sequence,
    };
    yield `${JSON.stringify(event)}\n`;
  }
}

function* again<T>(chunk: T): Generator<T> {
  while (true) yield chunk;
}

function pour(stream: ServerHttp2Stream, chunks: Iterable<Buffer | string>): void {
  stream.respond(OK);
  Readable.from(chunks).pipe(stream);
}

const ends =
  (text: string): Answer =>
  (stream) => {
    stream.respond(OK);
    stream.end(text);
  };

/** What a server that keeps to HTTP/2 can do. */
const ANSWER_ATTACKS: Record<string, Answer> = {
  'an answer without an end': (stream) => pour(stream, again(CHUNK)),
  'a flood of events': (stream) => pour(stream, events()),
  'an answer of one byte now and then': async (stream) => {
    stream.respond(OK);
    for (; !stream.destroyed; await sleep(DRIP_INTERVAL_MS)) stream.write(' ');
  },
  'no answer': () => {},
  'a status and then nothing': (stream) => stream.respond(OK),
  'an answer nested deeper than any': ends('['.repeat(500_000)),
  'an answer that is no JSON': ends('{"bootId":'),
  'an answer for somebody else': ends('{"__proto__": {"polluted": true}, "id": "other"}'),
  'an answer and a reset in the middle': (stream) => {
    stream.respond(OK);
    stream.write('{', () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
  },
  'a status that is none': (stream) => {
    stream.respond({ ':status': 599 });
    stream.end('{"code": "no_such_code", "message": 1}');
  },
};

/** Reads on beside it unless `isDeaf`: answers that nobody takes pile up at the plane. */
async function sendFrames(socket: Socket, frames: Generator<Buffer>, isDeaf: boolean): Promise<void> {
  // The attacks name the client's first stream: it has to be there.
  await sleep(DRIP_INTERVAL_MS);
  if (isDeaf) socket.pause();
  else socket.resume();
  socket.write(SETTINGS);
  Readable.from(frames).pipe(socket);
}

const DEAF = ', unread';
export const ATTACKS = [
  ...Object.keys(FRAME_ATTACKS),
  `a flood of PING${DEAF}`,
  `a flood of SETTINGS${DEAF}`,
  ...Object.keys(ANSWER_ATTACKS),
];

async function main([socketPath, attack]: string[]): Promise<void> {
  const server = http2.createServer();
  server.on('sessionError', () => {}).on('session', (session) => session.on('error', () => {}));
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    void ANSWER_ATTACKS[attack!]?.(stream);
  });
  const frames = FRAME_ATTACKS[attack!.replace(DEAF, '')];
  const listener = createServer((socket) => {
    socket.on('error', () => {});
    if (frames) void sendFrames(socket, frames(), attack!.endsWith(DEAF));
    else server.emit('connection', socket);
  });
  listener.listen(socketPath);
  await once(listener, 'listening');
  console.log('listening');
  // It ends with whoever started it.
  process.stdin.resume().once('close', () => process.exit());
}

if (import.meta.main) await main(process.argv.slice(2));
