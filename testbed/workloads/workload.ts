/** What a container is asked to do, by the demo, the tests and the benchmarks alike. */

/** Where the container's port is published. */
export interface Endpoint {
  host: string;
  port: number;
}

export interface WorkloadSize {
  /** Mebibytes of data in the container's memory, besides what its program needs. */
  dataMiB: number;
}

/** What the warm-up left in the container: enough to tell, in another process, a right answer from a wrong one. */
export type WarmUpFacts =
  | { workload: 'redis'; keyCount: number; valueBytes: number }
  | { workload: 'node'; recordCount: number; walkCount: number; sha256: string; allSha256: string };

export interface VerifiedResponse {
  /** From the call to the verified body, connecting included. */
  durationMs: number;
  /** When the body was verified, on the clock of `performance.now()`: the call itself returns later, when the connection is closed. */
  verifiedAtMs: number;
  /** From the call to the established connection; a port that holds connections is connected before it answers. */
  connectMs: number;
  /** Bytes of the answer as it came over the connection, or of its body where the protocol is HTTP. */
  responseBytes: number;
}

export interface RequestOptions {
  deadlineMs: number;
  /** Which part of the data is asked for: the same number asks for the same. Default 0. */
  round?: number;
}

export interface WarmUpOptions {
  deadlineMs?: number;
  /** Told the share of the work that is done, 0 to 1. */
  onProgress?: (doneRatio: number) => void;
}

export interface Workload {
  name: WarmUpFacts['workload'];
  /** Key of its image among the demo's images. */
  image: 'redis' | 'node';
  containerPort: number;
  /** What the demo uses, and what a test gets by with. */
  defaultSize: WorkloadSize;
  smallSize: WorkloadSize;
  /** Environment that the container needs for this size; it takes the place of the image's variables of the same name. */
  containerEnv(size: WorkloadSize): string[];
  /** @throws {OffloadError} deadline_exceeded */
  waitReady(endpoint: Endpoint, deadlineMs: number): Promise<void>;
  /** Loads the data, then asks what will be asked later. When it returns, its connections are closed at both ends. */
  warmUp(endpoint: Endpoint, size: WorkloadSize, options?: WarmUpOptions): Promise<WarmUpFacts>;
  /**
   * One logical request over one new connection, which may be accepted long before anyone answers.
   * @throws {OffloadError} corrupt_page when the answer is wrong, runtime_failed when there is none
   */
  firstRequest(endpoint: Endpoint, facts: WarmUpFacts, options: RequestOptions): Promise<VerifiedResponse>;
  /** Verifies every byte of the data set; slow. */
  verifyAll(endpoint: Endpoint, facts: WarmUpFacts, options: RequestOptions): Promise<VerifiedResponse>;
}

/** Time for loading hundreds of MiB into an emulated guest. */
export const WARM_UP_DEADLINE_MS = 300_000;
/** One attempt at a port that may never answer, before the next. */
export const READY_ATTEMPT_MS = 5_000;
export const READY_INTERVAL_MS = 25;
