/** Ctrl-C while something is being made: it is heeded when there is something to undo, at the second one at once. */
import { constants } from 'node:os';

const HELD = ['SIGINT', 'SIGTERM'] as const;

type Signalled = Pick<NodeJS.Process, 'on' | 'off' | 'exit'>;

/** Nothing stays of what was made when a signal came meanwhile, and this program ends as of that signal. */
export async function undoneBySignal<T>(
  make: () => Promise<T>,
  undo: (made: T) => Promise<unknown>,
  own: Signalled = process,
): Promise<T> {
  let held: NodeJS.Signals | undefined;
  const leave = (signal: NodeJS.Signals) => own.exit(128 + constants.signals[signal]);
  const onSignal = (signal: NodeJS.Signals) => {
    if (held !== undefined) leave(signal);
    held = signal;
  };
  for (const signal of HELD) own.on(signal, onSignal);
  try {
    const made = await make();
    if (held === undefined) return made;
    await undo(made);
    return leave(held);
  } finally {
    for (const signal of HELD) own.off(signal, onSignal);
  }
}
