/** A session's deadlines: each named, each ending the session with a message that names it. */
import { OffloadError } from '../../platform/errors.ts';
import { Countdown } from './clock.ts';
import type { Clock, SessionDeadlines } from './contract.ts';

export const DEFAULT_DEADLINES: SessionDeadlines = {
  helloMs: 10_000,
  connectMs: 60_000,
  resumeMs: 5_000,
  restoredMs: 120_000,
  idleMs: 120_000,
  doneMs: 60_000,
  statusMs: 10_000,
};

const WAITS = {
  connect: 'the pager did not connect',
  resume: 'the pager lost its connection and did not come back',
  restored: 'CRIU did not finish the restore',
  idle: 'nothing was sent or received',
  done: 'the pager had every page and did not say that it is done',
} as const;
type Wait = keyof typeof WAITS;

export class SessionTimers {
  readonly #countdowns = new Map<Wait, Countdown>();

  constructor(
    clock: Clock,
    deadlines: SessionDeadlines,
    token: string,
    expire: (error: OffloadError) => void,
  ) {
    for (const wait of Object.keys(WAITS) as Wait[]) {
      const delayMs = deadlines[`${wait}Ms`];
      const message = `page session ${token.slice(0, 8)}: ${WAITS[wait]} within ${delayMs} ms`;
      const end = () =>
        expire(new OffloadError(wait === 'resume' ? 'guest_lost' : 'deadline_exceeded', message));
      this.#countdowns.set(wait, new Countdown(clock, delayMs, end));
    }
  }

  begin(wait: Wait): void {
    this.#countdowns.get(wait)!.touch();
  }

  touch(wait: Wait): void {
    this.begin(wait);
  }

  end(wait: Wait): void {
    this.#countdowns.get(wait)!.stop();
  }

  stop(): void {
    for (const countdown of this.#countdowns.values()) countdown.stop();
  }
}
