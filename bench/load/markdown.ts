/** The report as Markdown: for a terminal as well as for documents. */

import { table } from '../../platform/markdown.ts';
import { MIB } from '../../platform/units.ts';
import type { LoadReport, MemoryName } from './report.ts';

const MEMORY_TITLES: Record<MemoryName, string> = {
  planeResidentBytes: 'plane, resident',
  planeHeapBytes: 'plane, JavaScript heap in use',
  agentResidentBytes: 'agent, resident',
  agentAnonymousBytes: 'agent, anonymous',
};

export function loadMarkdown(report: LoadReport): string {
  const { machine, latencyMs } = report;
  const parts = [
    `Run of ${report.createdAt.slice(0, 10)}: ${machine.cpus}, ${machine.cpuCount} CPUs, Linux ${machine.kernel}, Node ${machine.node}, load average ${report.loadAverage.toFixed(1)} at the start, the guest under ${report.accelerator}. ${report.containerCount} containers in one guest, ${report.clientCount} clients, ${report.durationS.toFixed(0)} s.`,
    table(
      ['requests', 'a second', 'aim', 'errors', 'refused', 'p50', 'p90', 'p99', 'longest'],
      [
        [
          String(report.requestCount),
          report.reachedPerS.toFixed(0),
          String(report.requestsPerS),
          String(report.errorCount),
          String(report.refusedCount),
          ...[latencyMs.p50, latencyMs.p90, latencyMs.p99, latencyMs.max].map(
            (value) => `${value.toFixed(0)} ms`,
          ),
        ],
      ],
    ),
    ...report.refusals.slice(0, 3).map((body) => `Refused: ${body}`),
    table(
      ['memory, MiB', 'at rest before', 'first third', 'second', 'last', 'slope a minute', 'at rest after'],
      report.trends.map(({ name, beforeBytes, thirdsBytes, bytesPerMinute, afterBytes }) => [
        MEMORY_TITLES[name],
        ...[beforeBytes, ...thirdsBytes, bytesPerMinute, afterBytes].map(mib),
      ]),
    ),
  ];
  return `${parts.join('\n\n')}\n`;
}

const mib = (bytes: number) => (bytes / MIB).toFixed(1);
