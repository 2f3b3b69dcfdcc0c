/** Real time, for when nobody gives another. */
import type { Clock } from './contract.ts';

export const REAL_CLOCK: Clock = {
  nowMs: () => performance.now(),
  setTimer(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  stayAwake(forMs) {
    awakeUntilMs = Math.max(awakeUntilMs, performance.now() + forMs);
    if (turning) return;
    turning = true;
    setImmediate(turn);
  },
};

let awakeUntilMs = 0;
let turning = false;

/** While an immediate is due, the event loop looks for input without going to sleep. */
function turn(): void {
  turning = performance.now() < awakeUntilMs;
  if (turning) setImmediate(turn);
}

/** A timer that begins again when touched and exists at most once. */
export class Countdown {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #expire: () => void;
  #timer: { cancel(): void } | undefined;
  #touchedMs = 0;

  constructor(clock: Clock, delayMs: number, expire: () => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#expire = expire;
  }

  /** (Re)starts it. Cheap: a running timer is left to find out by itself that it was touched. */
  touch(): void {
    this.#touchedMs = this.#clock.nowMs();
    this.#timer ??= this.#clock.setTimer(() => this.#check(), this.#delayMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #check(): void {
    const restMs = this.#touchedMs + this.#delayMs - this.#clock.nowMs();
    this.#timer = restMs > 0 ? this.#clock.setTimer(() => this.#check(), restMs) : undefined;
    if (this.#timer === undefined) this.#expire();
  }
}
