/** A program of the native world: how it starts, what it is asked, and what a right answer is. */

export interface NativeWorkload {
  readonly name: string;
  /** Copied into the world's /run/test/bin. */
  readonly programs: readonly string[];
  /** Directories that the world has below /run, by name. */
  readonly mounts?: Readonly<Record<string, string>>;
  /** Bash, run inside before the program. */
  readonly setup?: string;
  /** Bash, run inside; the process it becomes is what is dumped. */
  readonly command: string;
  /** Its uid and gid, when it does not run as root. */
  readonly userId?: number;
  /** Brings its data in; tried until it does not throw, as the program may not listen yet. */
  load?(running: LoadAccess): Promise<void>;
  /** It has files in /run/state. They belong to the checkpoint, and each restore gets a copy of its own. */
  readonly hasState?: boolean;
  /** Right answers before it is dumped. Default: 1. */
  readonly warmRoundCount?: number;
  /** `unix:PATH` or `tcp:PORT`, seen from outside; `directory` is the world's. */
  address(directory: string): string;
  readonly request: Buffer;
  /** @throws when the answer is not the right one */
  verify(answer: Buffer): void;
}

export interface LoadAccess {
  /** A line of bash inside; answers its exit code. */
  run(command: string): Promise<number>;
}
