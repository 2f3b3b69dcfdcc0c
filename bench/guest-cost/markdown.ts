/** The report as Markdown: for a terminal as well as for documents. */
import { table } from '../../platform/markdown.ts';
import type { Statistics } from '../statistics.ts';
import { isMet, mib, ms, sumOf } from './aims.ts';
import {
  CALL_MEANINGS,
  CALL_VARIANTS,
  type GuestCostReport,
  type Side,
  START_MEANINGS,
  START_VARIANTS,
} from './report.ts';

const SIDE_NAMES: Record<Side, string> = {
  ours: 'this project',
  node: 'Node alone',
  containerd: 'containerd',
};
const SIDES = Object.keys(SIDE_NAMES) as Side[];

export function guestCostMarkdown(report: GuestCostReport): string {
  const { machine, guest, versions } = report;
  const parts = [
    `Run of ${report.createdAt.slice(0, 10)}: ${machine.cpus}, ${machine.cpuCount} CPUs, Linux ${machine.kernel}, load average ${report.loadAverage.toFixed(1)} at the start; a guest with ${guest.vcpus} CPUs and ${guest.memoryMiB} MiB under ${guest.accelerator}, Linux ${guest.kernel}. Node ${machine.node}, crun ${versions.crun}, conmon ${versions.conmon}, containerd ${versions.containerd}, runc ${versions.runc}.`,
    table(
      ['ratio', 'value', 'aim', '', 'of'],
      report.aims.map((aim) => [
        aim.name,
        `**${aim.value.toFixed(2)}**`,
        `at most ${aim.atMost}`,
        isMet(aim) ? 'met' : 'MISSED',
        aim.of,
      ]),
    ),
    'Memory with one idle container, in MiB.',
    memoryTable(report),
    'Processor time with one idle container.',
    table(
      ['side', 'window s', 'processor ms', 'of one CPU'],
      report.idle.map(({ side, windowMs, cpuUs }) => [
        SIDE_NAMES[side],
        (windowMs / 1_000).toFixed(0),
        (cpuUs / 1_000).toFixed(1),
        `${(cpuUs / windowMs / 10).toFixed(3)} %`,
      ]),
    ),
    'Start of a container.',
    timeTable(START_VARIANTS.map((name) => [name, START_MEANINGS[name], report.startMs[name]])),
    'Round trips over vsock.',
    timeTable(CALL_VARIANTS.map((name) => [name, CALL_MEANINGS[name], report.callMs[name]])),
  ];
  return `${parts.join('\n\n')}\n`;
}

function memoryTable({ memory }: GuestCostReport): string {
  const lines = SIDES.flatMap((side) => [
    ...memory
      .filter((process) => process.side === side)
      .map((process) => [
        SIDE_NAMES[side],
        process.program,
        mib(process.residentBytes),
        mib(process.proportionalBytes),
        mib(process.anonymousBytes),
      ]),
    [
      SIDE_NAMES[side],
      '**together**',
      ...(['residentBytes', 'proportionalBytes', 'anonymousBytes'] as const).map(
        (figure) => `**${mib(sumOf(memory, side, figure))}**`,
      ),
    ],
  ]);
  return table(['side', 'process', 'resident', 'proportional', 'anonymous'], lines);
}

function timeTable(rows: readonly (readonly [string, string, Statistics])[]): string {
  return table(
    ['variant', 'what', 'n', 'p5', 'p50', 'p95'],
    rows.map(([name, what, { count, p5, p50, p95 }]) => [
      name,
      what,
      String(count),
      ms(p5),
      ms(p50),
      ms(p95),
    ]),
  );
}
