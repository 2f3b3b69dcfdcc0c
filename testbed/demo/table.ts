/** The demo's tables and its reading of them. Medians with the range, computed from the report alone. */
import type { Policy } from '../../offload-plane/page-server/contract.ts';
import type { ContainerReport, DemoReport, HeldReport, RestoreReport } from '../scenarios/report.ts';
import { POLICIES } from '../scenarios/warm-restore.ts';

const MEBIBYTE = 1024 * 1024;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Columns padded to their widest cell; numbers read best at the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  );
}

function range(restores: readonly RestoreReport[], field: (restore: RestoreReport) => number): string {
  const values = restores.map(field);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(0)} (${low.toFixed(0)}-${high.toFixed(0)})`;
}

const yes = (value: boolean) => (value ? 'yes' : 'NO');

export function containerTable(container: ContainerReport): string[] {
  const { checkpoint, name } = container;
  const head = [
    'policy',
    'TTFR ms',
    'faults',
    'pushed',
    'pages at response',
    'all pages',
    'all in ms',
    'body',
    'memory',
  ];
  const rows = POLICIES.map((policy) =>
    policyRow(
      policy,
      container.restores.filter((r) => r.policy === policy),
    ),
  );
  const megabytes = (checkpoint.bytes / MEBIBYTE).toFixed(0);
  return [
    `${name}: checkpoint of ${checkpoint.pageCount} pages (${checkpoint.zeroPageCount} of them zero), ${megabytes} MiB stored, ` +
      `container stood still for ${(checkpoint.frozenMs / 1000).toFixed(1)} s`,
    ...aligned([head, ...rows]).map((line) => `  ${line}`),
    `  held before its first instruction: ${container.heldRestores.map(heldText).join(', ')}`,
  ];
}

function heldText({ policy, pageCount, equalPageCount }: HeldReport): string {
  return `${policy} ${equalPageCount} of ${pageCount} pages equal`;
}

function policyRow(policy: Policy, restores: readonly RestoreReport[]): string[] {
  const middle = (field: (restore: RestoreReport) => number) => median(restores.map(field)).toFixed(0);
  return [
    policy,
    range(restores, (r) => r.ttfrMs),
    middle((r) => r.faultCount),
    middle((r) => r.pushedPageCount),
    middle((r) => r.pageCountAtResponse),
    middle((r) => r.totalPageCount),
    middle((r) => r.allInMs),
    yes(restores.every((r) => r.verified)),
    yes(restores.every((r) => r.memoryVerified)),
  ];
}

/** A few sentences on what the figures say; losing cases are said as well. */
export function explanation(report: DemoReport): string[] {
  return report.containers.flatMap((container) => {
    const ttfr = (policy: Policy) =>
      median(container.restores.filter((r) => r.policy === policy).map((r) => r.ttfrMs));
    const faults = (policy: Policy) =>
      median(container.restores.filter((r) => r.policy === policy).map((r) => r.faultCount));
    const ranked = [...POLICIES].sort((a, b) => ttfr(a) - ttfr(b));
    const best = ranked[0] ?? 'prefill';
    const ratio = (policy: Policy) => (ttfr(policy) / ttfr(best)).toFixed(1);
    return [
      `${container.name}: ${best} answered first, in ${ttfr(best).toFixed(0)} ms; ` +
        ranked
          .slice(1)
          .map((policy) => `${policy} took ${ratio(policy)} times as long`)
          .join(', ') +
        '.',
      `  Demand faults: ${POLICIES.map((policy) => `${policy} ${faults(policy).toFixed(0)}`).join(', ')}. ` +
        'Each is a round trip to the plane that the program waits for; pushing pages in recorded order avoids them.',
    ];
  });
}

export const LEGEND = [
  'TTFR: from the restore request to a verified response body, at the published port; median (lowest-highest).',
  'eager brings all memory first; lazy brings a page when it is touched; ordered pushes the pages that the first',
  'restore touched, in that order, while the container runs; prefill has CRIU install them before it runs.',
  'memory: every page was put in place once with the checkpoint’s digest; what differs at the end was written since.',
  'held: restores that were paused before their first instruction, all memory compared with the checkpoint’s.',
];
