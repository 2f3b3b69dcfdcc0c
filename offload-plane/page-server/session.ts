/**
 * One restore's page session: what the pager says moves it on, and its clocks end it. The pages
 * themselves are PageSender's business.
 */
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import {
  decodeCounters,
  decodeRanges,
  encodeFrame,
  type FrameHeader,
  FrameType,
  type PagerCounters,
} from '../../interconnect/page-protocol.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { OrderEntry } from '../order-log/contract.ts';
import type {
  Clock,
  PageServerLogger,
  PageServerMetrics,
  PageSession,
  Policy,
  RecordingState,
  SessionCounters,
  SessionEvents,
  SessionOptions,
  SessionResult,
  SessionState,
} from './contract.ts';
import { FillStart } from './fill-start.ts';
import { violation } from './frame-reader.ts';
import { MapState } from './map-state.ts';
import { Marks } from './marks.ts';
import { MissingRanges } from './missing-ranges.ts';
import { PageSender } from './page-sender.ts';
import { partFrom } from './parting.ts';
import { digestOfPlan, planRestore, type RestorePlan } from './plan.ts';
import { Recording } from './recording.ts';
import { DEFAULT_DEADLINES, SessionTimers } from './session-timers.ts';
import { checkMemory, toTargetRanges } from './verify-memory.ts';
import type { Cause } from './work.ts';

const DEFAULT_QUEUE_BYTES = 512 * 1024;
const DEFAULT_FAULTS_DRY_UP_MS = 1_000;
const DEFAULT_RECORD_GRACE_MS = 500;
/** Faults come in a row: one that follows so soon need not wake the plane first. */
const AWAKE_AFTER_FAULT_MS = 0.2;
const MAX_RESUMES = 8;

export interface SessionDeps {
  token: string;
  clock: Clock;
  logger: PageServerLogger | undefined;
  metrics: PageServerMetrics;
  /** Once, when the session is over in whatever way. */
  onOver(): void;
}

export class Session implements PageSession {
  readonly token: string;
  readonly guest: string;
  readonly policy: Policy;
  readonly events = new EventEmitter<SessionEvents>();
  readonly done: Promise<SessionResult>;
  readonly #deps: SessionDeps;
  readonly #options: SessionOptions;
  readonly #plan: RestorePlan;
  readonly #map: MapState;
  readonly #recording: Recording;
  readonly #timers: SessionTimers;
  readonly #fillStart: FillStart;
  readonly #counters: SessionCounters;
  readonly #marks: Marks;
  readonly #missing: MissingRanges;
  readonly #settled = Promise.withResolvers<SessionResult>();
  #state: SessionState = { phase: 'waiting' };
  #stream: Duplex | undefined;
  #sender: PageSender | undefined;
  #restored = false;
  #filling = false;
  #allSent = false;
  #resuming = false;
  /** Credit that came with a RESUME, before its MISSING ranges. */
  #earlyCredit = 0;
  #finishing = false;

  constructor(options: SessionOptions, deps: SessionDeps) {
    this.#options = options;
    this.#deps = deps;
    this.token = deps.token;
    this.guest = options.guest;
    this.policy = options.policy;
    this.#plan = planRestore(options.reader, options.policy, options.orderLog);
    this.#map = new MapState(this.#plan.map, options.reader);
    this.#missing = new MissingRanges(this.#map, this.#plan.mappedPageCount);
    this.#recording = new Recording(options.reader, options.record, options.unfinished);
    this.#counters = emptyCounters(this.#plan);
    this.done = this.#settled.promise;
    this.done.catch(() => {}); // whoever waits is told; nobody has to wait
    const deadlines = { ...DEFAULT_DEADLINES, ...options.deadlines };
    this.#timers = new SessionTimers(deps.clock, deadlines, this.token, (error) => this.#fail(error));
    this.#marks = new Marks(deps.clock, deadlines.statusMs);
    this.#fillStart = new FillStart({
      clock: deps.clock,
      recording: this.#recording,
      faultsDryUpMs: options.faultsDryUpMs ?? DEFAULT_FAULTS_DRY_UP_MS,
      recordGraceMs: options.recordGraceMs ?? DEFAULT_RECORD_GRACE_MS,
      startFill: () => this.startFill(),
    });
    if (options.reopened?.result) {
      this.#state = { phase: 'done', result: options.reopened.result };
      this.#settled.resolve(options.reopened.result);
      return;
    }
    this.#timers.begin('connect');
    this.#timers.begin('restored');
    if (this.effectivePolicy === 'ordered' || this.effectivePolicy === 'prefill') {
      void options.reader.prefetch(toTargetRanges(options.orderLog?.runs ?? []));
    }
  }

  get effectivePolicy(): Policy {
    return this.#plan.effectivePolicy;
  }

  get state(): SessionState {
    if (this.#state.phase !== 'connected') return this.#state;
    return { phase: 'connected', restored: this.#restored, filling: this.#filling };
  }

  get recording(): RecordingState {
    return this.#recording.state;
  }

  async pagemapImages(): Promise<{ name: string; bytes: Buffer }[]> {
    return this.#plan.images;
  }

  planDigest(): string {
    return digestOfPlan(this.#plan);
  }

  counters(): SessionCounters {
    return { ...this.#counters };
  }

  recordedOrder(): readonly OrderEntry[] {
    return this.#recording.entries;
  }

  startFill(): void {
    if (this.#isOver) return;
    this.#filling = true;
    this.#sender?.startFill();
  }

  markFirstResponse(): Promise<PagerCounters> {
    if (this.#state.phase === 'done') return Promise.resolve(this.#state.result);
    if (!this.#isOver) this.#fillStart.responded();
    const sender = this.#sender;
    if (sender === undefined || this.#marks.isFull) {
      return Promise.reject(
        new OffloadError('invalid_state', `page session mark: no pager is connected (${this.#state.phase})`),
      );
    }
    return this.#marks.open((sequence) => sender.mark(sequence));
  }

  async close(reason = 'closed by the plane'): Promise<void> {
    if (!this.#isOver) this.#fail(new OffloadError('invalid_state', `page session: ${reason}`), 'closed');
    await this.#recording.finish();
  }

  async leave(): Promise<void> {
    if (this.#isOver) return;
    this.#recording.leave();
    this.#end(new OffloadError('interrupted', 'page session: the plane ends'), 'closed');
    this.#stream?.destroy();
    await this.#recording.finish();
  }

  /** Whether a HELLO may have this session now. */
  accepts(resume: boolean): boolean {
    if (this.#isOver) return false;
    if (this.#state.phase === 'waiting') return !resume || this.#options.reopened !== undefined;
    if (!resume) return false;
    const connectedBefore = this.#state.phase === 'lost' || this.#state.phase === 'connected';
    return connectedBefore && this.#counters.resumeCount < MAX_RESUMES;
  }

  /** Takes a pager's connection, whose HELLO was good. */
  connect(stream: Duplex, resume: boolean): void {
    const old = this.#stream;
    this.#sender?.stop();
    this.#sender = undefined;
    this.#stream = stream;
    old?.destroy();
    this.#timers.end('connect');
    this.#timers.end('resume');
    this.#timers.begin('idle');
    this.#state = { phase: 'connected', restored: this.#restored, filling: this.#filling };
    this.#resuming = resume;
    this.#allSent = false;
    this.#missing.clear();
    if (resume) this.#counters.resumeCount++;
    else this.#startSending(stream, false);
    this.events.emit('connected');
  }

  /** The connection is gone. */
  disconnected(stream: Duplex, cause: string): void {
    if (stream !== this.#stream || this.#isOver) return;
    this.#stream = undefined;
    this.#sender?.stop();
    this.#sender = undefined;
    this.#state = { phase: 'lost', restored: this.#restored };
    this.#deps.logger?.warn({ guest: this.guest, cause }, 'page session: connection lost');
    this.#timers.end('idle');
    this.#timers.begin('resume');
  }

  /** @throws {OffloadError} page_protocol_violation */
  frame(stream: Duplex, header: FrameHeader, payload: Buffer): void {
    if (stream !== this.#stream || this.#isOver) return;
    this.#timers.touch('idle');
    switch (header.type) {
      case FrameType.CREDIT:
        this.#creditFor(header.pageCount);
        return;
      case FrameType.FAULT:
        this.#fault(header);
        return;
      case FrameType.RESTORED:
        this.#onRestored();
        return;
      case FrameType.STATUS:
        this.#marks.answer(header.value, decodeCounters(payload));
        return;
      case FrameType.DONE:
        this.#finish(decodeCounters(payload)).catch((error) => this.fail(error));
        return;
      case FrameType.MISSING:
        this.#missing.add(decodeRanges(payload));
        return;
      case FrameType.MISSING_END:
        this.#missingEnd(stream);
        return;
      case FrameType.ERROR:
        throw new OffloadError('guest_lost', `page session: the pager says: ${printable(payload)}`);
      default:
        throw violation(`frame type ${header.type} in the middle of a session`);
    }
  }

  /** Ends the session for a reason found outside: a violation, a broken page. */
  fail(error: unknown): void {
    this.#fail(toOffloadError(error, 'page session'));
  }

  get #isOver(): boolean {
    return this.#state.phase === 'done' || this.#state.phase === 'failed';
  }

  /** A pager resumes only after map and files were whole, so neither is sent again. */
  #startSending(stream: Duplex, resumed: boolean): void {
    const { reader, orderLog } = this.#options;
    const sender = new PageSender(
      {
        stream,
        reader,
        plan: this.#plan,
        map: this.#map,
        pushRuns: this.effectivePolicy === 'ordered' ? (orderLog?.runs ?? []) : [],
        queueBytes: this.#options.queueBytes ?? DEFAULT_QUEUE_BYTES,
        onSent: (cause, pageCount) => this.#sent(cause, pageCount),
        onEnd: () => this.#onAllSent(),
        onError: (error) => this.fail(error),
      },
      !resumed,
    );
    this.#sender = sender;
    if (!resumed) sender.sendMap();
    if (this.#filling) sender.startFill();
    sender.addCredit(this.#earlyCredit);
    this.#earlyCredit = 0;
  }

  #creditFor(pageCount: number): void {
    if (this.#sender === undefined) this.#earlyCredit += pageCount;
    else this.#sender.addCredit(pageCount);
  }

  #fault(header: FrameHeader): void {
    const arrivedMs = this.#deps.clock.nowMs();
    const { task, vaddr } = header;
    const index = this.#map.find(task, vaddr);
    if (index < 0) throw violation(`fault of task ${task} at 0x${vaddr.toString(16)}, which is not mapped`);
    if (this.#sender === undefined) throw violation('fault before the missing ranges of a resume');
    const entry = { task, vaddr, timeUs: Number(header.value) };
    this.#recording.add(entry);
    // A page that was pushed is on its way already; the answer that crosses it does no harm. After END
    // there are no more PAGES.
    if (!this.#map.isDemanded(index) && !this.#allSent) {
      this.#map.markSent(index, true);
      this.#sender.demand(task, vaddr, index);
      if (this.#sender.isIdle) this.#deps.clock.stayAwake?.(AWAKE_AFTER_FAULT_MS);
      this.#deps.metrics.faultAnswered?.((this.#deps.clock.nowMs() - arrivedMs) * 1000);
    }
    this.#counters.faultCount++;
    if (this.#restored) this.#fillStart.awaitFaults();
    this.events.emit('fault', entry);
  }

  #onRestored(): void {
    // Said again after a resume: the first may have been lost with the connection.
    if (this.#restored && this.#counters.resumeCount === 0) throw violation('RESTORED twice');
    if (this.#restored) return;
    this.#restored = true;
    this.#timers.end('restored');
    this.#fillStart.awaitFaults();
    if (this.#allSent) this.#timers.begin('done');
    this.events.emit('restored');
  }

  /** DONE is due once the tasks run as well; until then the restore's deadline holds. */
  #onAllSent(): void {
    this.#allSent = true;
    this.#options.reader.prepareMemoryDigest().catch(() => {}); // DONE will ask for it
    if (this.#restored) this.#timers.begin('done');
  }

  #missingEnd(stream: Duplex): void {
    if (!this.#resuming) return; // the dropped pages, kept for DONE
    this.#resuming = false;
    if (!this.#map.resetTo(this.#missing.take())) throw violation('missing range outside of the map');
    this.#startSending(stream, true);
  }

  #sent(cause: Cause, pageCount: number): void {
    this.#timers.touch('idle');
    this.#deps.metrics.pagesSent?.(cause, pageCount);
    this.#counters[`${cause}Sent`] += pageCount;
    this.events.emit('pages');
  }

  /** The pager's last word; what it says it has is held against the checkpoint. */
  async #finish(counters: PagerCounters): Promise<void> {
    if (this.#finishing && this.#counters.resumeCount === 0) throw violation('DONE twice');
    // Said again after a resume: the first may have been lost with the connection.
    if (this.#finishing) return;
    this.#finishing = true;
    const { reader } = this.#options;
    const dropped = this.#missing.take();
    // Whoever restores next once this one is done finds the order log.
    await Promise.all([reader.prepareMemoryDigest(), this.#recording.finish()]);
    if (this.#isOver) return;
    const checked = checkMemory({ reader, plan: this.#plan, counters, dropped });
    const result = { ...counters, ...checked, effectivePolicy: this.effectivePolicy };
    this.#options.onDone?.(result);
    this.#state = { phase: 'done', result };
    this.#over('done');
    this.#marks.answerAll(counters);
    this.#stream?.end(encodeFrame({ type: FrameType.END })); // without it the pager would say DONE again
    this.#settled.resolve(result);
    this.events.emit('done', result);
  }

  #fail(error: OffloadError, outcome: 'failed' | 'closed' = 'failed'): void {
    if (this.#isOver) return;
    this.#end(error, outcome);
    this.#abort(error.message);
  }

  #end(error: OffloadError, outcome: 'failed' | 'closed'): void {
    this.#state = { phase: 'failed', error };
    this.#over(outcome);
    this.#recording.abandon(error.message);
    this.#marks.rejectAll(error);
    this.#settled.reject(error);
    this.events.emit('failed', error);
  }

  #over(outcome: 'done' | 'failed' | 'closed'): void {
    this.#sender?.stop();
    this.#timers.stop();
    this.#fillStart.stop();
    this.#deps.metrics.sessionEnded?.(outcome, this.effectivePolicy);
    this.#deps.onOver();
  }

  /** Tells the pager that the container has to be ended, and closes. */
  #abort(reason: string): void {
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed) return;
    partFrom(stream, FrameType.ABORT, reason);
  }
}

function emptyCounters(plan: RestorePlan): SessionCounters {
  return {
    mappedPageCount: plan.mappedPageCount,
    filePageCount: plan.filePageCount,
    faultCount: 0,
    demandSent: 0,
    pushSent: 0,
    fillSent: 0,
    fileSent: 0,
    resumeCount: 0,
  };
}

/** A guest's text goes into a log: one line of printable characters. */
function printable(payload: Buffer): string {
  return payload.toString('latin1').replace(/[^\x20-\x7e]/g, '?') || 'nothing';
}
