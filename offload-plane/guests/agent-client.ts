/**
 * The plane's client of one guest's agent: HTTP/2 over one interconnect connection. Its flow control is
 * what keeps guest-to-plane bulk from stalling the vsock daemon: windows stay at HTTP/2's defaults.
 */
import http2 from 'node:http2';
import { type Duplex, PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Value } from 'typebox/value';
import {
  type AgentCall,
  type AgentRequest,
  type AgentResponse,
  agentCalls,
  agentPath,
  REQUEST_ID_HEADER,
} from '../../interconnect/agent-api.ts';
import { watchPeer } from '../../interconnect/peer-watch.ts';
import { ERROR_STATUS, type ErrorCode, OffloadError } from '../../platform/errors.ts';
import { type AgentObserver, NO_OBSERVER, streamName } from './agent-observer.ts';

const MAX_ANSWER_BYTES = 1024 * 1024;

export interface CallOptions {
  params?: Record<string, string | number>;
  query?: Record<string, string>;
  timeoutMs: number;
  /** Under which the agent does a call that changes something once only, however often it comes. */
  requestId?: string;
}

export interface StreamCall {
  method: string;
  path: string;
  contentType?: string;
  timeoutMs: number;
}

export interface AgentClient {
  call<C extends AgentCall>(call: C, body: AgentRequest<C>, options: CallOptions): Promise<AgentResponse<C>>;
  /** Opens a stream; resolves when the agent has answered 200. Both directions are the caller's. */
  stream(call: StreamCall): Promise<Duplex>;
  /** Sends `body` as a stream and gives the JSON answer, unchecked. */
  upload(call: StreamCall, body: Readable): Promise<unknown>;
  readonly closed: Promise<void>;
  /** What fails now may have failed for want of a connection. */
  readonly dead: boolean;
  close(): void;
}

/**
 * @param guest its name, for messages
 * @param pingTimeoutMs a peer that answers no PING for so long is dead
 */
export function createAgentClient(
  guest: string,
  socket: Duplex,
  pingTimeoutMs: number,
  observer: AgentObserver = NO_OBSERVER,
): AgentClient {
  const streams = new Set<http2.ClientHttp2Stream>();
  // HTTP/2 ends the streams of a connection that breaks as if they were whole.
  const cutOff = () => {
    for (const stream of streams) {
      stream.destroy(new OffloadError('guest_lost', `guest ${guest} hung up`));
    }
  };
  socket.once('close', cutOff);
  const end = () => {
    cutOff();
    session.destroy();
  };
  const session = http2.connect('http://agent', {
    createConnection: () => socket,
    // An agent has nothing to open at the plane.
    settings: { enablePush: false },
  });
  const closed = new Promise<void>((resolve) => session.once('close', resolve));
  session.on('error', () => session.destroy());
  // Interconnect sockets stay half open, and HTTP/2 does not see that the other side has gone.
  socket.once('end', end);
  watchPeer(session, {
    timeoutMs: pingTimeoutMs,
    onAnswer: (durationMs) => observer.pinged(guest, durationMs),
  });

  function open(method: string, path: string, headers: Record<string, string>, timeoutMs: number) {
    if (session.destroyed || session.closed) {
      throw new OffloadError('guest_lost', `${method} ${path}: guest ${guest} is not connected`);
    }
    const stream = session.request(
      { ':method': method, ':path': path, ...headers },
      { endStream: method === 'GET' || method === 'DELETE' },
    );
    streams.add(stream);
    // Whoever reads it hears of it; nobody else has to.
    stream.on('error', () => undefined);
    const timer = setTimeout(() => {
      stream.destroy(
        new OffloadError(
          'deadline_exceeded',
          `${method} ${path}: guest ${guest} gave no answer within ${timeoutMs} ms`,
        ),
      );
    }, timeoutMs);
    const status = new Promise<number>((resolve, reject) => {
      stream.once('response', (headers) => resolve(Number(headers[':status'])));
      stream.once('error', reject);
      stream.once('close', () =>
        reject(new OffloadError('guest_lost', `${method} ${path}: guest ${guest} hung up`)),
      );
    });
    status.catch(() => undefined);
    stream.once('close', () => {
      clearTimeout(timer);
      streams.delete(stream);
    });
    return { stream, status, stopTimer: () => clearTimeout(timer) };
  }

  async function request(
    name: string,
    method: string,
    path: string,
    timeoutMs: number,
    headers: Record<string, string>,
    body?: Readable | string,
  ) {
    const observed = observer.begin(guest, name);
    try {
      const all = { ...headers, ...observed.headers };
      const { answer, serverTiming } = await exchange(method, path, timeoutMs, all, body);
      observed.end({ answer, serverTiming });
      return answer;
    } catch (error) {
      observed.end({ error });
      throw error;
    }
  }

  async function exchange(
    method: string,
    path: string,
    timeoutMs: number,
    headers: Record<string, string>,
    body?: Readable | string,
  ) {
    const { stream, status } = open(method, path, headers, timeoutMs);
    let serverTiming: string | undefined;
    stream.once('response', (answered) => {
      serverTiming = String(answered['server-timing'] ?? '');
    });
    try {
      // Text leaves with the headers, in one packet.
      if (typeof body === 'string') stream.end(body);
      else if (body) pipeline(body, stream).catch(() => undefined);
      // Read from the beginning: headers and the end may come at once, and Node takes a stream that has ended
      // unread for one that was cut off.
      const answered = readAnswer(stream, `${method} ${path}`);
      answered.catch(() => undefined);
      const code = await status;
      const answer = await answered;
      if (code !== 200) throw agentError(guest, `${method} ${path}`, code, answer);
      return { answer, serverTiming };
    } catch (error) {
      throw asGuestLost(error as Error, guest, `${method} ${path}`);
    } finally {
      stream.destroy();
    }
  }

  return {
    async call(name, body, options) {
      const call = agentCalls[name];
      const query = options.query ? `?${new URLSearchParams(options.query)}` : '';
      const path = `${agentPath(call.path, options.params ?? {})}${query}`;
      const isPost = call.method === 'POST';
      const answer = await request(
        name,
        call.method,
        path,
        options.timeoutMs,
        {
          ...(isPost ? { 'content-type': 'application/json' } : {}),
          ...(options.requestId === undefined ? {} : { [REQUEST_ID_HEADER]: options.requestId }),
        },
        isPost ? JSON.stringify(body ?? {}) : undefined,
      );
      if (!Value.Check(call.response, answer)) {
        throw new OffloadError(
          'guest_lost',
          `${call.method} ${path}: guest ${guest} answered outside the schema`,
        );
      }
      return answer as never;
    },
    async stream({ method, path, contentType, timeoutMs }) {
      const { stream: opened, status, stopTimer } = open(method, path, typeHeader(contentType), timeoutMs);
      const stream = method === 'GET' ? readAtOnce(opened) : opened;
      const code = await status.catch((error: Error) => {
        throw asGuestLost(error, guest, `${method} ${path}`);
      });
      if (code === 200) {
        stopTimer();
        return stream;
      }
      // Still within the deadline: a refusal may have no end either.
      const answer = await readAnswer(stream, `${method} ${path}`).catch(() => undefined);
      opened.destroy();
      throw agentError(guest, `${method} ${path}`, code, answer);
    },
    upload: ({ method, path, contentType, timeoutMs }, body) =>
      request(
        streamName(method, path),
        method,
        path,
        timeoutMs,
        typeHeader(contentType ?? 'application/octet-stream'),
        body,
      ),
    closed,
    get dead() {
      return session.destroyed || session.closed;
    },
    close: end,
  };
}

/** As for answers: whoever gets the stream begins to read it later. */
function readAtOnce(stream: Duplex): Duplex {
  const reader = new PassThrough();
  pipeline(stream, reader).catch(() => undefined);
  return reader;
}

const typeHeader = (contentType: string | undefined): Record<string, string> =>
  contentType === undefined ? {} : { 'content-type': contentType };

function asGuestLost(error: Error, guest: string, what: string): OffloadError {
  if (error instanceof OffloadError) return error;
  return new OffloadError('guest_lost', `${what}: guest ${guest}: ${error.message}`, { cause: error });
}

async function readAnswer(stream: Readable, what: string): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new OffloadError('guest_lost', `${what}: an answer of over ${MAX_ANSWER_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new OffloadError('guest_lost', `${what}: the answer is no JSON`);
  }
}

/** The agent's own error, when it is one of our codes; anything else is the guest's fault. */
function agentError(guest: string, what: string, status: number, answer: unknown): OffloadError {
  const { code, message } = (answer ?? {}) as { code?: string; message?: string };
  if (typeof code === 'string' && Object.hasOwn(ERROR_STATUS, code) && typeof message === 'string') {
    return new OffloadError(code as ErrorCode, message.slice(0, 1_000));
  }
  return new OffloadError('guest_lost', `${what}: guest ${guest} answered with status ${status}`);
}
