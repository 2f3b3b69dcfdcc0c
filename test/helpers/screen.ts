/** A client of a container's or exec's standard streams: what it has been shown, and how it ended. */
import type { Channels } from '../../offload-plane/client/channels.ts';
import { pollUntil } from '../../platform/deadline.ts';

export interface Screen {
  readonly text: string;
  /** Waits until what has been shown matches. */
  see(pattern: RegExp): Promise<void>;
  type(keys: string): Promise<void>;
  /** The exit code; undefined for whoever was cut off. */
  readonly ended: Promise<number | undefined>;
  close(): void;
}

export function screenOf(channels: Channels, timeoutMs: number): Screen {
  let text = '';
  const ended = channels
    .read((_stream, bytes) => {
      text += String(bytes);
    })
    .then(
      (end) => ('exitCode' in end ? end.exitCode : undefined),
      () => undefined,
    );
  return {
    get text() {
      return text;
    },
    async see(pattern) {
      const what = `output like ${pattern}`;
      await pollUntil(() => pattern.test(text) || undefined, { timeoutMs, intervalMs: 20, what }).catch(
        (error: Error) => {
          throw new Error(`${error.message}: ${JSON.stringify(text)}`);
        },
      );
    },
    type: (keys) => channels.send(Buffer.from(keys)),
    ended,
    close: () => channels.close(),
  };
}
