/** `offload bench load`: many containers in one guest, and clients that ask the plane about them. */
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon, { type Result } from 'autocannon';
import { createPlaneClient } from '../../offload-plane/client/index.ts';
import { runInGuest } from '../../testbed/qemu/guest-shell.ts';
import { startTestbed, type Testbed } from '../../testbed/testbed.ts';
import { loadMarkdown } from './markdown.ts';
import { FULL_PLAN, type LoadPlan, SMALL_PLAN } from './plan.ts';
import type { LoadReport, MemoryName } from './report.ts';
import { requestMix } from './requests.ts';
import { type Sources, sampleMemory, sampleUntil } from './samples.ts';
import { trendOf } from './trend.ts';

export interface LoadOptions {
  small: boolean;
  jsonPath?: string | undefined;
  /** In place of the plan's. */
  durationS?: number | undefined;
  say(text: string): void;
}

const SHELL_PORT = 2_000;
const GUEST_NAME = 'loaded';
/** Made at once. */
const CREATIONS_AT_ONCE = 4;
const SHELL_TIMEOUT_MS = 30_000;
/** Longer than any answer; the plane has deadlines of its own. */
const ANSWER_TIMEOUT_S = 60;
const KEPT_REFUSALS = 10;
const MEMORY_NAMES: readonly MemoryName[] = [
  'planeResidentBytes',
  'planeHeapBytes',
  'agentResidentBytes',
  'agentAnonymousBytes',
];

export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { say } = options;
  const planned = options.small ? SMALL_PLAN : FULL_PLAN;
  const plan = { ...planned, durationS: options.durationS ?? planned.durationS };
  const { memoryMiB, vcpus } = plan;
  const testbed = await startTestbed({
    guests: [{ name: GUEST_NAME, memoryMiB, vcpus, shellPort: SHELL_PORT }],
    onProgress: say,
  });
  try {
    await testbed.importDemoImages(say);
    const report = await measure(testbed, plan, say);
    if (options.jsonPath !== undefined) {
      writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`);
    }
    process.stdout.write(loadMarkdown(report));
    return report;
  } finally {
    await testbed.stop();
  }
}

async function measure(testbed: Testbed, plan: LoadPlan, say: (text: string) => void): Promise<LoadReport> {
  const [loadAverage] = loadavg();
  const createdAt = new Date().toISOString();
  const names = Array.from({ length: plan.containerCount }, (_, i) => `load-${i}`);
  await startContainers(testbed, names, say);
  const follower = followEvents(testbed);
  const refusals: string[] = [];
  const load = async (durationS: number) =>
    await autocannon({
      url: 'http://plane',
      socketPath: testbed.planeSocket,
      connections: plan.clientCount,
      duration: durationS,
      overallRate: plan.requestsPerS,
      timeout: ANSWER_TIMEOUT_S,
      requests: requestMix(names, follower.last(), (status, body) => {
        if (status >= 400 && refusals.length < KEPT_REFUSALS) refusals.push(body.slice(0, 400));
      }),
    });
  const sources = sourcesOf(testbed);
  const atRest = async () => {
    say(`left alone for ${plan.restS} s`);
    await sleep(plan.restS * 1_000);
    return await sampleMemory(sources);
  };
  const before = await atRest();
  say(`${plan.requestsPerS} requests a second of ${plan.clientCount} clients, ${plan.warmUpS} s to warm up`);
  await load(plan.warmUpS);
  say(`${plan.durationS} s that count`);
  const ended = new AbortController();
  const sampling = sampleUntil(ended.signal, sources, plan.sampleIntervalS);
  const result = await load(plan.durationS).finally(async () => {
    ended.abort();
    await sampling.catch(() => {});
  });
  const samples = await sampling;
  const after = await atRest();
  return {
    kind: 'load',
    createdAt,
    machine: {
      cpus: cpus()[0]?.model ?? 'unknown',
      cpuCount: cpus().length,
      kernel: release(),
      node: process.version,
    },
    loadAverage: loadAverage!,
    accelerator: testbed.guests[0]!.accelerator,
    containerCount: plan.containerCount,
    clientCount: plan.clientCount,
    requestsPerS: plan.requestsPerS,
    ...figuresOf(result),
    refusals,
    eventCount: follower.count(),
    samples,
    trends: MEMORY_NAMES.map((name) => trendOf(samples, { before, after }, name)),
  };
}

function figuresOf({ latency, requests, errors, timeouts, non2xx, duration }: Result) {
  return {
    reachedPerS: requests.total / duration,
    durationS: duration,
    requestCount: requests.total,
    errorCount: errors + timeouts,
    refusedCount: non2xx,
    latencyMs: { p50: latency.p50, p90: latency.p90, p99: latency.p99, max: latency.max },
  };
}

async function startContainers(
  { plane: { containers } }: Testbed,
  names: readonly string[],
  say: (text: string) => void,
): Promise<void> {
  const left = [...names];
  const work = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      const program = { entrypoint: ['busybox', 'sleep'], command: ['1000000'] };
      await containers.create({ name, guest: GUEST_NAME, image: 'redis', ...program });
      await containers.start(name);
      if (left.length % 10 === 0) say(`${names.length - left.length} of ${names.length} containers started`);
    }
  };
  await Promise.all(Array.from({ length: CREATIONS_AT_ONCE }, work));
}

/** One client more, that follows all events until the plane ends: a connection of its own, as nobody else ends it. */
function followEvents({ planeSocket }: Testbed): { last(): number; count(): number } {
  const plane = createPlaneClient({ socketPath: planeSocket });
  let [last, count] = [0, 0];
  void (async () => {
    for await (const { sequence } of plane.events({ follow: true, since: 0 })) {
      last = sequence;
      count += 1;
    }
  })().catch(() => {});
  return { last: () => last, count: () => count };
}

function sourcesOf(testbed: Testbed): Sources {
  const timeoutMs = SHELL_TIMEOUT_MS * testbed.deadlineScale;
  return {
    metrics: () => testbed.plane.metrics(),
    inGuest: (script) => runInGuest(testbed.guests[0]!, script, timeoutMs),
  };
}
