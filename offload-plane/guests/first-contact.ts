/** Whether the guests that an earlier plane knew have been taken up; waited for, but not for ever. */

export interface FirstContact {
  /** Resolves when each was taken up or is lost, or the time is over. */
  readonly over: Promise<void>;
  /** Taken up, or lost. */
  settled(guest: string): void;
  close(): void;
}

export function awaitFirstContact(guests: readonly string[], timeoutMs: number): FirstContact {
  const pending = new Set(guests);
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  timer.unref();
  const look = () => {
    if (pending.size > 0) return;
    clearTimeout(timer);
    resolve();
  };
  look();
  return {
    over,
    settled(guest) {
      pending.delete(guest);
      look();
    },
    close() {
      pending.clear();
      look();
    },
  };
}
