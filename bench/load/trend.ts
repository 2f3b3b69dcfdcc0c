/** Whether memory stays, from samples of it. */
import type { MemoryName, MemorySample, MemoryTrend } from './report.ts';

const S_PER_MINUTE = 60;

export interface AtRest {
  before: MemorySample;
  after: MemorySample;
}

export function trendOf(
  samples: readonly MemorySample[],
  { before, after }: AtRest,
  name: MemoryName,
): MemoryTrend {
  const values = samples.map((sample) => sample[name]);
  const third = (which: number) =>
    median(
      values.slice(Math.floor((which * values.length) / 3), Math.ceil(((which + 1) * values.length) / 3)),
    );
  return {
    name,
    beforeBytes: before[name],
    afterBytes: after[name],
    thirdsBytes: [third(0), third(1), third(2)],
    bytesPerMinute: slopeOf(samples, name) * S_PER_MINUTE,
  };
}

/** Least squares, a second. */
function slopeOf(samples: readonly MemorySample[], name: MemoryName): number {
  const meanOf = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanS = meanOf(samples.map(({ atS }) => atS));
  const meanBytes = meanOf(samples.map((sample) => sample[name]));
  let [product, square] = [0, 0];
  for (const sample of samples) {
    product += (sample.atS - meanS) * (sample[name] - meanBytes);
    square += (sample.atS - meanS) ** 2;
  }
  return square === 0 ? 0 : product / square;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
