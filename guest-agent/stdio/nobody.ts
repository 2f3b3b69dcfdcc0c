/** The attach socket of a program that has ended: no output comes, and input goes nowhere. */
import type { AttachSocket } from '../runtime/attach-socket.ts';

export const NOBODY: AttachSocket = {
  onOutput() {},
  pause() {},
  resume() {},
  write: async () => undefined,
  endInput: async () => undefined,
  closed: Promise.resolve(),
  destroy() {},
};
