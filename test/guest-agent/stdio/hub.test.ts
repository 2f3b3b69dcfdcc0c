import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AttachSocket, OutputStream } from '../../../guest-agent/runtime/attach-socket.ts';
import type { OutputChunk } from '../../../guest-agent/stdio/backlog.ts';
import { BACKLOG_BYTES, createHub } from '../../../guest-agent/stdio/hub.ts';
import { NOBODY } from '../../../guest-agent/stdio/nobody.ts';
import {
  decodeEnd,
  END,
  encodeFrame,
  FrameDecoder,
  STDERR,
  STDIN,
  STDOUT,
  type StdioFrame,
} from '../../../interconnect/stdio-frames.ts';
import { until } from '../../helpers/until.ts';

/** conmon's side: what it sends while it is read, and what it was given. */
function program() {
  const queued: [OutputStream, Buffer][] = [];
  const given: Buffer[] = [];
  let listener: (stream: OutputStream, bytes: Buffer) => void = () => undefined;
  let isFlowing = false;
  let inputEnded = false;
  let end: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    end = resolve;
  });
  const pump = () => {
    while (isFlowing && queued.length > 0) listener(...queued.shift()!);
  };
  const socket: AttachSocket = {
    onOutput(wanted) {
      listener = wanted;
    },
    pause() {
      isFlowing = false;
    },
    resume() {
      isFlowing = true;
      pump();
    },
    async write(bytes) {
      given.push(bytes);
    },
    async endInput() {
      inputEnded = true;
    },
    closed,
    destroy: () => end(),
  };
  return {
    socket,
    say(text: string | Buffer, stream: OutputStream = STDOUT) {
      queued.push([stream, Buffer.from(text)]);
      pump();
    },
    end: () => end(),
    get queuedCount() {
      return queued.length;
    },
    get given() {
      return Buffer.concat(given).toString();
    },
    get inputEnded() {
      return inputEnded;
    },
  };
}

function hubOf(world: ReturnType<typeof program>, exitCode = 0, holdForFirstMs?: number) {
  return createHub({
    subject: 'container web',
    socket: world.socket,
    end: async () => ({ exitCode }),
    ...(holdForFirstMs === undefined ? {} : { holdForFirstMs }),
  });
}

/** A client that collects what it gets. */
function client() {
  const [near, far] = duplexPair();
  const decoder = new FrameDecoder();
  const frames: StdioFrame[] = [];
  far.on('error', () => undefined);
  far.on('data', (chunk: Buffer) => frames.push(...decoder.push(chunk)));
  return {
    near,
    far,
    frames,
    get text() {
      return frames
        .filter(({ type }) => type !== END)
        .map(({ payload }) => payload.toString())
        .join('');
    },
    get end() {
      const last = frames.at(-1);
      return last?.type === END ? decodeEnd(last.payload) : undefined;
    },
  };
}

test('a client gets what the program says from then on, by stream, and its exit code at the end', async () => {
  const world = program();
  const hub = hubOf(world, 3);
  const reader = client();
  hub.attach(() => reader.near, 0);
  world.say('out');
  world.say('err', STDERR);
  world.end();
  await once(reader.far, 'end');
  assert.equal(
    reader.frames.slice(0, 2).map(({ type, payload }) => [type, payload.toString()]),
    [
      [STDOUT, 'out'],
      [STDERR, 'err'],
    ],
  );
  assert.equal(reader.end, { exitCode: 3 });
});

test('a client that attaches again gets the backlog and then what follows, no byte doubled or lost', async () => {
  const world = program();
  const hub = hubOf(world);
  for (let line = 0; line < 10; line += 1) world.say(`${line};`);
  const first = client();
  hub.attach(() => first.near, BACKLOG_BYTES);
  world.say('10;');
  await until('first client is up to date', () => first.text === '0;1;2;3;4;5;6;7;8;9;10;');
  first.near.destroy();
  await until('first client is forgotten', () => hub.clientCount === 0);
  world.say('11;');
  const second = client();
  hub.attach(() => second.near, BACKLOG_BYTES);
  world.say('12;');
  await until('second client is up to date', () => second.text === '0;1;2;3;4;5;6;7;8;9;10;11;12;');
});

test('the backlog is the last of the output, by bytes, and bounded', async () => {
  const world = program();
  const hub = hubOf(world);
  const text = Array.from({ length: 20_000 }, (_, line) => `line ${line}\n`).join('');
  for (let at = 0; at < text.length; at += 8_000) world.say(text.slice(at, at + 8_000));
  const [all, little] = [client(), client()];
  hub.attach(() => all.near, BACKLOG_BYTES);
  hub.attach(() => little.near, 10);
  await until('both have it', () => all.text.length >= BACKLOG_BYTES && little.text.length >= 10);
  assert.is(all.text, text.slice(-BACKLOG_BYTES));
  assert.is(little.text, text.slice(-10));
});

test('a client that does not read holds the program back, and is given everything once it does', async () => {
  const world = program();
  const hub = hubOf(world);
  const [near, far] = duplexPair();
  hub.attach(() => near, 0);
  const chunk = Buffer.alloc(8_000, 'x');
  for (let count = 0; count < 1_000; count += 1) world.say(chunk);
  assert.ok(world.queuedCount > 900, 'most of it is still with the program');
  let bytes = 0;
  const decoder = new FrameDecoder();
  far.on('data', (data: Buffer) => {
    for (const { payload } of decoder.push(data)) bytes += payload.length;
  });
  await until('everything has arrived', () => bytes === 8_000_000);
});

test('a slow client that goes away holds nobody back any more', async () => {
  const world = program();
  const hub = hubOf(world);
  const [near, far] = duplexPair();
  far.on('error', () => undefined);
  hub.attach(() => near, 0);
  for (let count = 0; count < 100; count += 1) world.say(Buffer.alloc(8_000));
  assert.ok(world.queuedCount > 0);
  far.destroy();
  near.destroy();
  await until('the program goes on', () => world.queuedCount === 0);
});

test('output waits for the first client when it is held', async () => {
  const world = program();
  const hub = hubOf(world, 0, 60_000);
  world.say('early');
  world.end();
  assert.is(world.queuedCount, 1);
  const reader = client();
  hub.attach(() => reader.near, BACKLOG_BYTES);
  await until('it arrives', () => reader.text === 'early');
});

test('output that nobody attaches to in time goes into the backlog', async () => {
  const world = program();
  hubOf(world, 0, 20);
  world.say('early');
  await until('it flows', () => world.queuedCount === 0);
});

test('what clients send is given to the program, and an empty frame ends its input', async () => {
  const world = program();
  const hub = hubOf(world);
  const typist: { near: Duplex; far: Duplex } = client();
  hub.attach(() => typist.near, 0);
  typist.far.write(encodeFrame(STDIN, 'hello'));
  await until('it was given', () => world.given === 'hello');
  assert.not(world.inputEnded);
  typist.far.write(encodeFrame(STDIN, ''));
  await until('input has ended', () => world.inputEnded);
});

test('a client that sends what is no input is told so and let go, and the program does not notice', async () => {
  const world = program();
  const hub = hubOf(world);
  const [bad, good] = [client(), client()];
  hub.attach(() => bad.near, 0);
  hub.attach(() => good.near, 0);
  bad.far.write(encodeFrame(STDOUT, 'nonsense'));
  await until('it was told', () => bad.end !== undefined);
  assert.match(JSON.stringify(bad.end), /not standard input/);
  world.say('still there');
  await until('the other goes on', () => good.text === 'still there');
  assert.is(world.given, '');
});

test('more clients than the bound are refused before their stream is opened', () => {
  const hub = hubOf(program());
  for (let count = 0; count < 16; count += 1) hub.attach(() => client().near, 0);
  assert.throws(() => hub.attach(() => assert.unreachable() as never, 0), /16 clients are attached/);
});

test('whoever attaches after the end gets the backlog and the exit code', async () => {
  const world = program();
  const hub = hubOf(world, 7);
  world.say('last words');
  world.end();
  await hub.ended;
  const late = client();
  hub.attach(() => late.near, BACKLOG_BYTES);
  await until('it has the end', () => late.end !== undefined);
  assert.is(late.text, 'last words');
  assert.equal(late.end, { exitCode: 7 });
});

const written = (text: string) => async (): Promise<OutputChunk[]> => [
  { stream: STDOUT, bytes: Buffer.from(text) },
];

/** As under an agent that was started again. */
const hubWithPast = (world: ReturnType<typeof program>, text: string) =>
  createHub({
    subject: 'container web',
    socket: world.socket,
    end: async () => ({ exitCode: 0 }),
    past: written(text),
  });

test('whoever attaches under a later agent gets what was written before, and then what follows', async () => {
  const world = program();
  const hub = hubWithPast(world, 'before;');
  const reader = client();
  hub.attach(() => reader.near, BACKLOG_BYTES);
  await until('the past is there', () => reader.text === 'before;');
  world.say('after;');
  await until('the rest is there', () => reader.text === 'before;after;');
});

test('output that is in the log already when it comes is given once, and to everybody', async () => {
  const world = program();
  const hub = hubWithPast(world, 'one;two;three;');
  for (const text of ['two;', 'three;', 'four;']) world.say(text);
  const [first, second] = [client(), client()];
  hub.attach(() => first.near, BACKLOG_BYTES);
  hub.attach(() => second.near, BACKLOG_BYTES);
  world.say('five;');
  for (const { text } of [first, second]) assert.is(text, '');
  await until('both have all', () =>
    [first, second].every(({ text }) => text === 'one;two;three;four;five;'),
  );
});

test('who attaches to what ended between two agents gets what it wrote and its exit code', async () => {
  const hub = createHub({
    subject: 'exec',
    socket: NOBODY,
    end: async () => ({ exitCode: 4 }),
    past: written('last words'),
  });
  const late = client();
  hub.attach(() => late.near, BACKLOG_BYTES);
  await until('it has the end', () => late.end !== undefined);
  assert.is(late.text, 'last words');
  assert.equal(late.end, { exitCode: 4 });
});

test.run();
