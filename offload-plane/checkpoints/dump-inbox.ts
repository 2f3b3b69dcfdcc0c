/** Dump streams that guests dial in: each must bring the one-time token of a checkpoint of that very guest. */
import type { Duplex } from 'node:stream';
import { acceptDump } from '../../interconnect/dump-stream.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Logger } from '../logger.ts';

interface Expected {
  guest: string;
  take(stream: Duplex): void;
}

export function createDumpInbox(logger: Logger) {
  const expected = new Map<string, Expected>();
  return {
    /** The stream that will come with `token` from `guest`; drop() when it is not wanted any more. */
    expect(token: string, guest: string): { stream: Promise<Duplex>; drop(): void } {
      let drop = () => {};
      const stream = new Promise<Duplex>((resolve, reject) => {
        expected.set(token, { guest, take: resolve });
        drop = () => {
          expected.delete(token);
          reject(new OffloadError('invalid_state', 'dump stream: not wanted any more'));
        };
      });
      stream.catch(() => undefined);
      return { stream, drop };
    },
    /** A wrong token and one of another guest end alike: the connection closes. */
    async accept(socket: Duplex, guest: string, idleDeadlineMs: number): Promise<void> {
      try {
        const { token, stream } = await acceptDump(socket, { idleDeadlineMs });
        const key = token.toString('hex');
        const waiting = expected.get(key);
        if (waiting?.guest !== guest) throw new OffloadError('not_found', 'dump stream: unknown token');
        expected.delete(key);
        waiting.take(stream);
      } catch (error) {
        logger.warn({ guest, error: (error as Error).message }, 'dump stream refused');
        socket.destroy();
      }
    },
  };
}
export type DumpInbox = ReturnType<typeof createDumpInbox>;
