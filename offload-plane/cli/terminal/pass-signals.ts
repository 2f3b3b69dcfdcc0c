/** Signals to this program go to what it runs, as Docker has it: without a terminal Ctrl-C is one. */
import { constants } from 'node:os';
import type { PlaneClient } from '../../client/index.ts';

/** So many leave a program running that does not end of them. */
const PATIENCE_COUNT = 3;

export function signalsTo(client: PlaneClient, container: string): (signal: NodeJS.Signals) => void {
  let count = 0;
  return (signal) => {
    count += 1;
    if (count >= PATIENCE_COUNT) process.exit(128 + constants.signals[signal]);
    // One that has just ended takes no signal: its end is on its way.
    client.containers.kill(container, signal).catch(() => undefined);
  };
}
