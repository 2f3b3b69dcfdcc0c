/** What a plane process of the native world is asked and answers, as messages between two Node processes. */
import type { Policy, SessionCounters } from '../../offload-plane/page-server/contract.ts';

/** How one order log is made from another. */
export type Derivation = 'sorted' | 'reversed' | 'random' | 'stale';

export interface RestoreCall {
  checkpoint: string;
  policy: Policy;
  /** The name of a kept log; default: the checkpoint's own. `none`: as if it had none. */
  order?: string;
  record: boolean;
  /** Default: the page server's. */
  faultsDryUpMs?: number;
  /** Where CRIU's images (in `images`) and the token are written. */
  directory: string;
  /** Note when each page was asked for and sent. */
  trace: boolean;
}

/** A session of a plane that was killed, for the next one. */
export interface LeftSession {
  token: string;
  checkpoint: string;
  policy: Policy;
}

/** Times are CLOCK_MONOTONIC in milliseconds, so that processes can compare them. */
export interface TraceEvent {
  atMs: number;
  what: 'fault' | 'demand' | 'push' | 'fill' | 'file';
  pageCount: number;
}

export interface SessionEnd {
  doneAtMs: number;
  memoryVerified: boolean;
  effectivePolicy: Policy;
  demandFaults: number;
  installed: number;
  pushed: number;
  filled: number;
  duplicates: number;
  counters: SessionCounters;
  recordedCount: number;
  trace: TraceEvent[];
}

export interface DumpEnd {
  pageCount: number;
  zeroPageCount: number;
  receiveMs: number;
  commitMs: number;
}

/** Name of each call, its argument and its answer. */
export interface PlaneCalls {
  /** The dump comes over a connection to this Unix socket. */
  beginDump: [{ checkpoint: string; socket: string }, object];
  finishDump: [{ checkpoint: string; imagesDirectory: string }, DumpEnd];
  /** Answers the port for `criu lazy-pages --page-server`. */
  serveStock: [{ checkpoint: string }, { port: number }];
  openRestore: [RestoreCall, { session: string }];
  /** The first response has passed. */
  responded: [{ session: string }, { demandFaults: number; installed: number }];
  /** Ends a restore that nobody follows any further. */
  abandonRestore: [{ session: string }, object];
  removeCheckpoint: [{ checkpoint: string }, object];
  restoreEnd: [{ session: string; keepOrderAs?: string }, SessionEnd];
  /** Gives back what the plane keeps of checkpoints that nobody reads. */
  trim: [object, object];
  /** `stale` takes its second half from `other`. */
  deriveOrder: [{ from: string; how: Derivation; other?: string; name: string }, { pageCount: number }];
  writeStockImages: [{ checkpoint: string; directory: string }, { filePageCount: number }];
}
export type CallName = keyof PlaneCalls;

export interface CallMessage {
  sequence: number;
  name: CallName;
  argument: unknown;
}

export type AnswerMessage =
  | { sequence: number; answer: unknown }
  | { sequence: number; error: { code: string; message: string } };
