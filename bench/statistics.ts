/** Statistics of recorded samples by mitata: in its manual mode a bench says itself how long it took. */
import { measure } from 'mitata';

export interface Statistics {
  count: number;
  min: number;
  p5: number;
  p25: number;
  p50: number;
  p75: number;
  p95: number;
  max: number;
  avg: number;
  /** In the order in which they were taken. */
  samples: number[];
}

/** What mitata's manual mode takes, which its types leave out. */
type ManualGenerator = () => Generator<() => number, void, undefined>;

export async function statisticsOf(samples: readonly number[]): Promise<Statistics> {
  let next = -1; // mitata calls once to warm up
  const take = () => samples[Math.max(0, next++)]!;
  const generator = function* () {
    yield { manual: take, budget: 'manual' };
  } as unknown as ManualGenerator;
  const count = samples.length;
  const {
    min,
    max,
    avg,
    p25,
    p50,
    p75,
    samples: sorted,
  } = await measure(generator, {
    min_samples: count,
    max_samples: count,
    min_cpu_time: 0,
    samples_threshold: count, // mitata would cut off the ends of longer lists
    warmup_threshold: Number.POSITIVE_INFINITY,
    warmup_samples: 0,
    gc: false,
  });
  /** The rule by which mitata takes its own percentiles. */
  const percentile = (part: number) => sorted[Math.floor(part * (sorted.length - 1))]!;
  return {
    count,
    min,
    p5: percentile(0.05),
    p25,
    p50,
    p75,
    p95: percentile(0.95),
    max,
    avg,
    samples: [...samples],
  };
}
