/** Memory and processor time of the processes of each side, as the guest's kernel counts them. */
import { KIB, MS_PER_S } from '../../platform/units.ts';
import { NODE_FLAGS } from '../../testbed/image/agent-start.ts';
import type { IdleCpu, ProcessMemory, Side } from './report.ts';

/** Runs a script in the guest. */
export type InGuest = (script: string) => Promise<string>;

/** What makes up a side, by command line. What starts and restarts them (init) is left out on both. */
const PATTERNS: Record<Side, string[]> = {
  ours: ['^node .*/agent\\.mjs', '^/usr/bin/conmon '],
  node: ['^node .* bare-node$'],
  containerd: ['/containerd --config', '/containerd-shim-runc-v2 '],
};
const SIDES = Object.keys(PATTERNS) as Side[];

export async function readMemory(inGuest: InGuest): Promise<ProcessMemory[]> {
  const sides = await Promise.all(
    SIDES.map(async (side) => parseMemory(side, await inGuest(memoryScript(side)))),
  );
  return sides.flat();
}

/** Node as the agent is started, with nothing to run. */
export async function startBareNode(inGuest: InGuest): Promise<void> {
  const program =
    "gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }); setInterval(() => {}, 1_000_000_000)";
  await inGuest(
    `MALLOC_ARENA_MAX=1 setsid node ${NODE_FLAGS.join(' ')} -e "${program}" bare-node >/dev/null 2>&1 </dev/null &`,
  );
}

/**
 * Puts each side into a cgroup, waits until what its start has left to do is done, and reads how long its
 * processes ran in the window.
 */
export async function measureIdle(
  inGuest: InGuest,
  windowMs: number,
  settleTimeoutMs: number,
): Promise<IdleCpu[]> {
  await inGuest(SIDES.map(joinScript).join('\n'));
  const usage = SIDES.map((side) => `grep ^usage_usec ${cgroupOf(side)}/cpu.stat`).join('\n');
  await inGuest(settleScript(settleTimeoutMs));
  const text = await inGuest(`set -e\n${usage}\nsleep ${windowMs / 1_000}\n${usage}`);
  const values = [...text.matchAll(/^usage_usec (\d+)$/gm)].map((match) => Number(match[1]));
  return SIDES.map((side, i) => ({ side, windowMs, cpuUs: values[SIDES.length + i]! - values[i]! }));
}

/** Less than that in an interval is a side at rest. */
const REST_SHARE = 0.01;
const SETTLE_INTERVAL_MS = 6_000;
/** Ends at the first interval in which every side rested, or after the last. */
function settleScript(timeoutMs: number): string {
  const used = SIDES.map((side) => `$(sed -n 's/^usage_usec //p' ${cgroupOf(side)}/cpu.stat)`).join(' ');
  return `before="${used}"
for ((i = 0; i < ${Math.floor(timeoutMs / SETTLE_INTERVAL_MS)}; i++)); do
sleep ${SETTLE_INTERVAL_MS / MS_PER_S}
after="${used}"
busy=$(paste <(tr ' ' '\n' <<<"$before") <(tr ' ' '\n' <<<"$after") | awk '$2 - $1 > ${SETTLE_INTERVAL_MS * 1_000 * REST_SHARE}')
[ "$busy" ] || break
before=$after
done`;
}

const pids = (side: Side) => `$(pgrep -f '${PATTERNS[side].join('|')}')`;
const cgroupOf = (side: Side) => `/sys/fs/cgroup/bench-${side}`;
const joinScript = (side: Side) =>
  `mkdir -p ${cgroupOf(side)}; for pid in ${pids(side)}; do echo $pid >${cgroupOf(side)}/cgroup.procs; done`;
const memoryScript = (side: Side) => `for pid in ${pids(side)}; do
echo "program $(tr '\\0' '\\n' </proc/$pid/cmdline | head -n 1)"
grep -E '^(Rss|Pss|Anonymous):' /proc/$pid/smaps_rollup
done`;

/** Lines of a program and then of its figures; processes that ended meanwhile have none. */
export function parseMemory(side: Side, text: string): ProcessMemory[] {
  return text
    .split(/^program /m)
    .slice(1)
    .map((part) => {
      const bytes = (name: string) =>
        Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(part)?.[1]) * KIB;
      return {
        side,
        program: part.split('\n')[0]!.replace(/^.*\//, ''),
        residentBytes: bytes('Rss'),
        proportionalBytes: bytes('Pss'),
        anonymousBytes: bytes('Anonymous'),
      };
    })
    .filter((memory) => memory.residentBytes > 0);
}
