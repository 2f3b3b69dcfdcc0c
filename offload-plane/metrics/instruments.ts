/** How the plane's metrics are made: the prefix, and buckets that fit. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const SECONDS_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createInstruments(registry: Registry) {
  const registers = [registry];
  const named = (name: string, help: string, labelNames: string[]) => ({
    name: `offload_${name}`,
    help,
    labelNames,
    registers,
  });
  return {
    counter: (name: string, help: string, labels: string[] = []) => new Counter(named(name, help, labels)),
    gauge: (name: string, help: string, labels: string[] = []) => new Gauge(named(name, help, labels)),
    histogram: (name: string, help: string, labels: string[] = [], buckets = SECONDS_BUCKETS) =>
      new Histogram({ ...named(name, help, labels), buckets }),
  };
}
export type Instruments = ReturnType<typeof createInstruments>;
