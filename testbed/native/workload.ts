/** A program of the native world: how it starts, what it is asked, and what a right answer is. */

export interface NativeWorkload {
  readonly name: string;
  /** Copied into the world's /run/test/bin. */
  readonly programs: readonly string[];
  /** Directories that the world has below /run, by name. */
  readonly mounts?: Readonly<Record<string, string>>;
  /** Right answers before it is dumped. Default: 1. */
  readonly warmRoundCount?: number;
  /** Bash, run inside; the process it becomes is what is dumped. */
  readonly command: string;
  /** `unix:PATH` or `tcp:PORT`, seen from outside; `directory` is the world's. */
  address(directory: string): string;
  readonly request: Buffer;
  /** @throws when the answer is not the right one */
  verify(answer: Buffer): void;
}
