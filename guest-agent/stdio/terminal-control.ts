/** conmon's control fifo: one line a change of a terminal's size. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { TerminalSize } from '../../interconnect/exec-api.ts';
import { OffloadError } from '../../platform/errors.ts';

/** conmon's number for a change of the window. */
const WINDOW = 1;

/** @throws {OffloadError} invalid_state when nobody reads the fifo any more */
export async function resize(controlFifo: string, { columns, rows }: TerminalSize): Promise<void> {
  // Without O_NONBLOCK an open would wait for a conmon that has gone.
  const file = await open(controlFifo, constants.O_WRONLY | constants.O_NONBLOCK).catch((error: Error) => {
    throw new OffloadError('invalid_state', `resize terminal: it has gone (${error.message})`);
  });
  try {
    await file.write(`${WINDOW} ${rows} ${columns}\n`);
  } finally {
    await file.close();
  }
}
