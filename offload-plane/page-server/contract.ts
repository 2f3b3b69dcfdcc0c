/**
 * What the page server offers: sessions of the page protocol (interconnect/page-protocol.h tells the
 * conversation), one a restore, any number at once on one checkpoint.
 */
import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { PagerCounters } from '../../interconnect/page-protocol.ts';
import type { OffloadError } from '../../platform/errors.ts';
import type { OrderEntry, OrderLog } from '../order-log/contract.ts';
import type { UnfinishedRecording } from '../order-log/unfinished.ts';
import type { CheckpointReader } from '../page-store/contract.ts';

/** How a restore brings memory. */
export type Policy = 'eager' | 'lazy' | 'ordered' | 'prefill';

/** Time as an argument, so that a simulation can give its own. */
export interface Clock {
  nowMs(): number;
  setTimer(callback: () => void, delayMs: number): { cancel(): void };
  /** For so long nobody goes to sleep: input is expected sooner than a wake-up would take. */
  stayAwake?(forMs: number): void;
}

export interface PageServerLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Called as things happen; all optional and never throwing. */
export interface PageServerMetrics {
  pagesSent?(cause: 'demand' | 'push' | 'fill' | 'file', pageCount: number): void;
  /** From the arrival of a FAULT to its answer's hand-over to the socket. */
  faultAnswered?(durationUs: number): void;
  sessionEnded?(outcome: 'done' | 'failed' | 'closed', policy: Policy): void;
  helloRefused?(): void;
}

export interface PageServerDeps {
  clock?: Clock;
  random?: (byteCount: number) => Buffer;
  logger?: PageServerLogger;
  metrics?: PageServerMetrics;
}

export interface SessionDeadlines {
  /** From a connection to its HELLO; the server's own, not a session's. 10 s. */
  helloMs: number;
  /** From openSession to the first HELLO. Default 60 s. */
  connectMs: number;
  /** From a lost connection to a HELLO with RESUME. Default 5 s. */
  resumeMs: number;
  /** From openSession to RESTORED. Default 120 s. */
  restoredMs: number;
  /** No progress (nothing sent, nothing received) for so long. Default 120 s. */
  idleMs: number;
  /** After END and RESTORED, until DONE. Default 60 s. */
  doneMs: number;
  /** A MARK's STATUS. Default 10 s. */
  statusMs: number;
}

export interface SessionOptions {
  guest: string;
  reader: CheckpointReader;
  policy: Policy;
  orderLog?: OrderLog;
  /** Write the faults as the checkpoint's order log when recording ends. */
  record: boolean;
  /** Keeps what is recorded until then, for the next plane. */
  unfinished?: UnfinishedRecording;
  deadlines?: Partial<SessionDeadlines>;
  /** Fill starts by itself when no fault came for so long after RESTORED. Default 1000. */
  faultsDryUpMs?: number;
  /** Recording goes on for so long after the first response. Default 500. */
  recordGraceMs?: number;
  /** A push or fill frame is written only while fewer bytes than this wait in the socket. Default 512 KiB. */
  queueBytes?: number;
  /** Of a session that an earlier plane had opened. */
  reopened?: ReopenedSession;
  /** Writes down how it ended; only then the pager is let go. What it throws fails the session. */
  onDone?: (result: SessionResult) => void;
}

export interface ReopenedSession {
  /** Its pager has it, and may have had a connection with it. */
  token: string;
  /** What the pager had said at its end, if it had come to that. */
  result?: SessionResult;
}

export type SessionState =
  | { phase: 'waiting' }
  | { phase: 'connected'; restored: boolean; filling: boolean }
  | { phase: 'lost'; restored: boolean }
  | { phase: 'done'; result: SessionResult }
  | { phase: 'failed'; error: OffloadError };

export interface SessionEvents {
  connected: [];
  /** CRIU let the tasks go. Never comes when the pager has nothing to do (`eager`): it is done before. */
  restored: [];
  fault: [OrderEntry];
  /** Pages were written to the pager's connection. */
  pages: [];
  done: [SessionResult];
  failed: [OffloadError];
}

export type SessionResult = PagerCounters & {
  /** Every page CRIU or the pager had to bring has the checkpoint's digest. */
  memoryVerified: boolean;
  expectedDigest: bigint;
  effectivePolicy: Policy;
};

/** What the plane itself has counted; pages. */
export interface SessionCounters {
  /** Pages the pager is responsible for. */
  mappedPageCount: number;
  filePageCount: number;
  faultCount: number;
  demandSent: number;
  pushSent: number;
  fillSent: number;
  fileSent: number;
  resumeCount: number;
}

/** How the recording of this session went. */
export type RecordingState =
  | { phase: 'off' }
  | { phase: 'recording'; entryCount: number }
  | { phase: 'written'; entryCount: number }
  | { phase: 'abandoned'; reason: string };

export interface PageSession {
  /** 64 hex digits, for the agent to hand to the pager. */
  readonly token: string;
  /** Of what CRIU and the pager were told to bring each page by: two sessions with the same can take turns. */
  planDigest(): string;
  readonly guest: string;
  readonly policy: Policy;
  /** `lazy` when `ordered` or `prefill` was asked for without an order log. */
  readonly effectivePolicy: Policy;
  readonly state: SessionState;
  readonly events: EventEmitter<SessionEvents>;
  /** pagemap-<id>.img and pagemap-shmem-<id>.img for CRIU under this policy. */
  pagemapImages(): Promise<{ name: string; bytes: Buffer }[]>;
  /** Sends a MARK: what the pager had done when the first response passed. Starts the fill as well. */
  markFirstResponse(): Promise<PagerCounters>;
  startFill(): void;
  counters(): SessionCounters;
  /** Resolves at DONE; rejects when the session fails or is closed before. */
  readonly done: Promise<SessionResult>;
  readonly recording: RecordingState;
  recordedOrder(): readonly OrderEntry[];
  /** Ends the session; sends ABORT when a pager is connected and not done. Idempotent. */
  close(reason?: string): Promise<void>;
  /** Ends it for this plane alone: the pager is told nothing, and dials until there is another. */
  leave(): Promise<void>;
}

export interface PageServer {
  openSession(options: SessionOptions): PageSession;
  /** Takes a pager's connection. Never throws; a wrong or foreign token gets one and the same ERROR. */
  acceptPager(stream: Duplex, guest: string): void;
  readonly sessionCount: number;
  /** Leaves every session to the next plane. */
  close(): Promise<void>;
}
