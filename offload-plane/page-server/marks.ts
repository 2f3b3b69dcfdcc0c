/** A session's open marks: each waits for the STATUS that says what the pager had done when the mark came. */
import type { PagerCounters } from '../../interconnect/page-protocol.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Clock } from './contract.ts';
import { violation } from './frame-reader.ts';

const MAX_OPEN_MARKS = 64;

interface Mark {
  resolve(counters: PagerCounters): void;
  reject(error: Error): void;
  timer: { cancel(): void };
}

export class Marks {
  readonly #clock: Clock;
  readonly #statusMs: number;
  readonly #open = new Map<bigint, Mark>();
  #sequence = 0n;

  constructor(clock: Clock, statusMs: number) {
    this.#clock = clock;
    this.#statusMs = statusMs;
  }

  get isFull(): boolean {
    return this.#open.size >= MAX_OPEN_MARKS;
  }

  /** @param send given the mark's number */
  open(send: (sequence: bigint) => void): Promise<PagerCounters> {
    const sequence = ++this.#sequence;
    const { promise, resolve, reject } = Promise.withResolvers<PagerCounters>();
    const timer = this.#clock.setTimer(() => {
      this.#open.delete(sequence);
      const message = `page session mark: no STATUS within ${this.#statusMs} ms`;
      reject(new OffloadError('deadline_exceeded', message));
    }, this.#statusMs);
    this.#open.set(sequence, { resolve, reject, timer });
    send(sequence);
    return promise;
  }

  /** @throws {OffloadError} page_protocol_violation */
  answer(sequence: bigint, counters: PagerCounters): void {
    const mark = this.#open.get(sequence);
    if (mark === undefined) throw violation(`STATUS for mark ${sequence}, which is not open`);
    this.#open.delete(sequence);
    mark.timer.cancel();
    mark.resolve(counters);
  }

  answerAll(counters: PagerCounters): void {
    for (const mark of this.#takeAll()) mark.resolve(counters);
  }

  rejectAll(error: Error): void {
    for (const mark of this.#takeAll()) mark.reject(error);
  }

  #takeAll(): Mark[] {
    const marks = [...this.#open.values()];
    this.#open.clear();
    for (const { timer } of marks) timer.cancel();
    return marks;
  }
}
