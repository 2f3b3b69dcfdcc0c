/**
 * The page server: gives out tokens and takes pagers' connections. A token opens one session, for the
 * guest it was made for, once; what is unknown, foreign or used up looks the same from outside. A session
 * that a plane leaves is opened again by the next one, with the token it had.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import {
  type FrameHeader,
  FrameType,
  HELLO_RESUME,
  PROTOCOL_VERSION,
  TOKEN_BYTES,
} from '../../interconnect/page-protocol.ts';
import { toOffloadError } from '../../platform/errors.ts';
import { REAL_CLOCK } from './clock.ts';
import type { PageServer, PageServerDeps, PageSession, SessionOptions } from './contract.ts';
import { FrameReader, violation } from './frame-reader.ts';
import { partFrom } from './parting.ts';
import { Session } from './session.ts';
import { DEFAULT_DEADLINES } from './session-timers.ts';

/** Connections of one guest that have not said HELLO yet. */
const MAX_SILENT_CONNECTIONS = 16;
const REFUSED = 'page session: unknown token';

export function createPageServer(deps: PageServerDeps = {}): PageServer {
  return new TokenPageServer(deps);
}

class TokenPageServer implements PageServer {
  readonly #deps: PageServerDeps;
  readonly #sessions = new Map<string, Session>();
  readonly #silent = new Map<string, Set<Duplex>>();
  #closed = false;

  constructor(deps: PageServerDeps) {
    this.#deps = deps;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  openSession(options: SessionOptions): PageSession {
    const token = options.reopened?.token ?? (this.#deps.random ?? randomBytes)(TOKEN_BYTES).toString('hex');
    const session = new Session(options, {
      token,
      clock: this.#deps.clock ?? REAL_CLOCK,
      logger: this.#deps.logger,
      metrics: this.#deps.metrics ?? {},
      onOver: () => this.#sessions.delete(token),
    });
    if (session.state.phase === 'waiting') this.#sessions.set(token, session);
    return session;
  }

  acceptPager(stream: Duplex, guest: string): void {
    stream.on('error', () => {}); // 'close' follows and says the rest
    const silent = this.#silentOf(guest);
    if (this.#closed || silent.size >= MAX_SILENT_CONNECTIONS) {
      stream.destroy();
      return;
    }
    silent.add(stream);
    const clock = this.#deps.clock ?? REAL_CLOCK;
    const hello = clock.setTimer(() => stream.destroy(), DEFAULT_DEADLINES.helloMs);
    const frames = new FrameReader();
    let session: Session | undefined;
    const settle = () => {
      hello.cancel();
      silent.delete(stream);
      if (silent.size === 0) this.#silent.delete(guest);
    };
    const onFrame = (header: FrameHeader, payload: Buffer) => {
      if (session !== undefined) return session.frame(stream, header, payload);
      session = this.#admit(header, payload, guest);
      settle();
      if (session === undefined) this.#refuse(stream);
      else session.connect(stream, (header.flags & HELLO_RESUME) !== 0);
    };
    stream.on('data', (chunk: Buffer) => {
      if (stream.writableEnded) return;
      try {
        frames.push(chunk, onFrame);
      } catch (error) {
        if (session === undefined) this.#refuse(stream, toOffloadError(error, 'page session').message);
        else session.fail(error);
      }
    });
    stream.on('end', () => session?.disconnected(stream, 'the pager closed'));
    stream.on('close', () => {
      settle();
      session?.disconnected(stream, 'closed');
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#sessions.values()].map((session) => session.leave()));
    for (const silent of this.#silent.values()) for (const stream of silent) stream.destroy();
  }

  #admit(header: FrameHeader, payload: Buffer, guest: string): Session | undefined {
    if (header.type !== FrameType.HELLO) throw violation('the first frame has to be HELLO');
    if (header.value !== BigInt(PROTOCOL_VERSION)) {
      throw violation(`version ${header.value} of the page protocol, this plane speaks ${PROTOCOL_VERSION}`);
    }
    const session = this.#sessions.get(payload.toString('hex'));
    const resume = (header.flags & HELLO_RESUME) !== 0;
    if (session === undefined || session.guest !== guest || !session.accepts(resume)) return undefined;
    return session;
  }

  #refuse(stream: Duplex, reason = REFUSED): void {
    this.#deps.metrics?.helloRefused?.();
    partFrom(stream, FrameType.ERROR, reason);
  }

  #silentOf(guest: string): Set<Duplex> {
    const silent = this.#silent.get(guest) ?? new Set();
    this.#silent.set(guest, silent);
    return silent;
  }
}
