/** A program of the native world: how it starts, what it is asked, and what a right answer is. */

export interface NativeWorkload {
  readonly name: string;
  /** Copied into the world's /run/test/bin. */
  readonly programs: readonly string[];
  /** Bash, run inside; the process it becomes is what is dumped. */
  readonly command: string;
  /** `unix:PATH` or `tcp:PORT`, seen from outside; `directory` is the world's. */
  address(directory: string): string;
  readonly request: Buffer;
  /** @throws when the answer is not the right one */
  verify(answer: Buffer): void;
}
