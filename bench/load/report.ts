/** The load bench's report as data: what `--json` writes. */
export interface MemorySample {
  atS: number;
  planeResidentBytes: number;
  planeHeapBytes: number;
  agentResidentBytes: number;
  agentAnonymousBytes: number;
}

export type MemoryName = Exclude<keyof MemorySample, 'atS'>;

export interface MemoryTrend {
  name: MemoryName;
  /** Left alone, before the load and after it. */
  beforeBytes: number;
  afterBytes: number;
  /** Medians of the samples of each third of the load. */
  thirdsBytes: [number, number, number];
  /** Of a straight line through all samples. */
  bytesPerMinute: number;
}

export interface LoadReport {
  kind: 'load';
  createdAt: string;
  machine: { cpus: string; cpuCount: number; kernel: string; node: string };
  loadAverage: number;
  accelerator: string;
  containerCount: number;
  clientCount: number;
  /** As asked for, and as it came to be. */
  requestsPerS: number;
  reachedPerS: number;
  durationS: number;
  requestCount: number;
  errorCount: number;
  refusedCount: number;
  /** What the first of them were answered. */
  refusals: string[];
  latencyMs: { p50: number; p90: number; p99: number; max: number };
  eventCount: number;
  samples: MemorySample[];
  trends: MemoryTrend[];
}
