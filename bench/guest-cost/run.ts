/** `offload bench guest-cost`: what the guest pays for us, beside containerd and beside crun by hand. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { OffloadError } from '../../platform/errors.ts';
import { MIB, MS_PER_S } from '../../platform/units.ts';
import type { Guest } from '../../testbed/qemu/guest.ts';
import { runInGuest } from '../../testbed/qemu/guest-shell.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { statisticsOf } from '../statistics.ts';
import { aimsOf } from './aims.ts';
import {
  copyBundle,
  removeFromContainerd,
  runUnderContainerd,
  startByContainerd,
  startByCrun,
  startByHand,
  startContainerd,
} from './containers.ts';
import { attachProgramDisk, buildProgramDisk, PROGRAMS } from './disk.ts';
import { guestCostMarkdown } from './markdown.ts';
import { FULL_PLAN, type GuestCostPlan, SMALL_PLAN } from './plan.ts';
import { type InGuest, measureIdle, readMemory, startBareNode } from './processes.ts';
import { type GuestCostReport, START_VARIANTS, type StartVariant } from './report.ts';
import { measureRoundTrips } from './round-trips.ts';

export interface GuestCostOptions {
  small: boolean;
  jsonPath?: string | undefined;
  say(text: string): void;
}

const SHELL_PORT = 2_000;
const GUEST_NAME = 'measured';
const CALL_TIMEOUT_MS = 30_000;
/** Sleeps for ever; the demo's image with a small program. */
const CONTAINER = {
  guest: GUEST_NAME,
  image: 'redis',
  entrypoint: ['busybox', 'sleep'],
  command: ['1000000'],
};

export async function runGuestCost(options: GuestCostOptions): Promise<GuestCostReport> {
  const { say } = options;
  const plan = options.small ? SMALL_PLAN : FULL_PLAN;
  const directory = mkdtempSync(join(tmpdir(), 'bench-guest-cost-'));
  const { memoryMiB, vcpus } = plan;
  let testbed: Testbed | undefined;
  try {
    const image = await buildProgramDisk(directory);
    testbed = await startTestbed({
      guests: [{ name: GUEST_NAME, memoryMiB, vcpus, shellPort: SHELL_PORT }],
      onProgress: say,
    });
    await testbed.importDemoImages(say);
    const guest = testbed.guests[0]!;
    await attachProgramDisk(guest, image, CALL_TIMEOUT_MS * testbed.deadlineScale);
    const report = await measure(testbed, guest, plan, say);
    if (options.jsonPath !== undefined) {
      writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`);
    }
    process.stdout.write(guestCostMarkdown(report));
    return report;
  } finally {
    await testbed?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(
  testbed: Testbed,
  guest: Guest,
  plan: GuestCostPlan,
  say: (text: string) => void,
): Promise<GuestCostReport> {
  const startedAt = new Date();
  const [loadAverage] = loadavg();
  const timeoutMs = CALL_TIMEOUT_MS * testbed.deadlineScale;
  const inGuest: InGuest = (script) => runInGuest(guest, script, timeoutMs + plan.idleMs + plan.settleMs);
  const { containers, guests } = testbed.plane;
  say('a container under each side');
  const resident = await containers.create({ name: 'resident', ...CONTAINER });
  await containers.start('resident');
  await startContainerd(inGuest);
  await copyBundle(inGuest, resident.id);
  await runUnderContainerd(inGuest);
  await startBareNode(inGuest);
  say(`both left alone for ${plan.idleMs / MS_PER_S} s`);
  const idle = await measureIdle(inGuest, plan.idleMs, plan.settleMs);
  const memory = await readMemory(inGuest);
  const { phase } = await containers.inspect('resident');
  if (phase !== 'running') {
    throw new OffloadError('invalid_state', `bench guest-cost: the container is ${phase}, not running`);
  }
  await removeFromContainerd(inGuest);
  const startMs = await measureStarts(testbed, inGuest, plan.startRounds, say);
  say(`${plan.roundTrips} round trips of each kind`);
  const rounds = plan.roundTrips;
  const callMs = await measureRoundTrips({ guest, inGuest, containerId: resident.id, rounds, timeoutMs });
  const [view] = await guests.list();
  return {
    kind: 'guest cost',
    createdAt: startedAt.toISOString(),
    durationS: (Date.now() - startedAt.getTime()) / MS_PER_S,
    machine: {
      cpus: cpus()[0]?.model ?? 'unknown',
      cpuCount: cpus().length,
      memoryMiB: Math.round(totalmem() / MIB),
      kernel: release(),
      node: process.version,
    },
    guest: {
      accelerator: guest.accelerator,
      memoryMiB: plan.memoryMiB,
      vcpus: plan.vcpus,
      kernel: view!.health.kernel,
    },
    loadAverage: loadAverage!,
    versions: {
      crun: view!.health.crun,
      conmon: view!.health.conmon,
      ...(await rivalVersions(inGuest)),
    },
    memory,
    idle,
    startMs,
    callMs,
    aims: aimsOf({ memory, startMs, callMs }),
  };
}

/** In turns, so that whatever drifts on the machine meets all alike. */
async function measureStarts(
  testbed: Testbed,
  inGuest: InGuest,
  rounds: number,
  say: (text: string) => void,
): Promise<GuestCostReport['startMs']> {
  const ways: Record<StartVariant, () => Promise<number>> = {
    crun: () => startByCrun(inGuest),
    'by hand': () => startByHand(inGuest),
    plane: () => startByPlane(testbed),
    containerd: () => startByContainerd(inGuest),
  };
  const samples: Record<StartVariant, number[]> = { crun: [], 'by hand': [], plane: [], containerd: [] };
  // The first round pays for what is read from disk once, and does not count.
  for (let round = -1; round < rounds; round += 1) {
    for (const variant of START_VARIANTS) {
      const tookMs = await ways[variant]();
      if (round >= 0) samples[variant].push(tookMs);
    }
    if (round >= 0) say(`starts: round ${round + 1} of ${rounds}`);
  }
  return {
    crun: await statisticsOf(samples.crun),
    'by hand': await statisticsOf(samples['by hand']),
    plane: await statisticsOf(samples.plane),
    containerd: await statisticsOf(samples.containerd),
  };
}

async function startByPlane({ plane: { containers } }: Testbed): Promise<number> {
  const name = 'started';
  const startMs = performance.now();
  await containers.create({ name, ...CONTAINER });
  await containers.start(name);
  const tookMs = performance.now() - startMs;
  await containers.remove(name, { force: true });
  return tookMs;
}

async function rivalVersions(inGuest: InGuest): Promise<{ containerd: string; runc: string }> {
  const text = await inGuest(`${PROGRAMS}/containerd --version; ${PROGRAMS}/runc --version`);
  return {
    containerd: /containerd\S* (\d\S*)/.exec(text)?.[1] ?? 'unknown',
    runc: /runc version (\S+)/.exec(text)?.[1] ?? 'unknown',
  };
}
