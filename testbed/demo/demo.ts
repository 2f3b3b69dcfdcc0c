/** `offload demo`: guests, a plane, two real containers, every policy; a table at the end. */
import { writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { Listr } from 'listr2';
import type { ContainerReport, DemoReport } from '../scenarios/report.ts';
import { runWarmRestore } from '../scenarios/warm-restore.ts';
import { startTestbed, type Testbed } from '../testbed.ts';
import { WORKLOADS, type Workload } from '../workloads/workloads.ts';
import { containerTable, explanation, LEGEND } from './table.ts';

/** One whose pages the pager brings, one whose pages CRIU and the pager bring; the tests compare all four. */
const HELD_POLICIES = ['ordered', 'prefill'] as const;

export interface DemoOptions {
  jsonPath?: string;
  repetitions: number;
  memoryMiB: number;
  vcpus: number;
  accelerator?: 'kvm' | 'tcg';
  storeDirectory?: string;
}

const MEBIBYTE = 1024 * 1024;
const GUESTS = ['guest-a', 'guest-b'] as const;

interface Context {
  testbed: Testbed;
  containers: ContainerReport[];
}

export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const context = { containers: [] } as unknown as Context;
  const tasks = new Listr<Context>(
    [
      {
        title: `Boot ${GUESTS.length} guests and start the plane`,
        task: async (ctx, task) => {
          ctx.testbed = await startTestbed({
            guests: GUESTS.map((name) => ({ name, memoryMiB: options.memoryMiB, vcpus: options.vcpus })),
            ...(options.accelerator ? { accelerator: options.accelerator } : {}),
            ...(options.storeDirectory ? { storeDirectory: options.storeDirectory } : {}),
            onProgress: (text) => {
              task.output = text;
            },
          });
        },
      },
      {
        title: 'Build and import the images',
        task: async (ctx, task) => {
          await ctx.testbed.importDemoImages((text) => {
            task.output = text;
          });
        },
      },
      ...Object.values(WORKLOADS).map((workload: Workload) => ({
        title: `Checkpoint and restore ${workload.name}`,
        task: async (ctx: Context, task: { output: string }) => {
          ctx.containers.push(
            await runWarmRestore({
              plane: ctx.testbed.plane,
              origin: GUESTS[0],
              target: GUESTS[1],
              workload,
              size: workload.defaultSize,
              name: workload.name,
              repetitions: options.repetitions,
              heldPolicies: HELD_POLICIES,
              deadlineScale: ctx.testbed.deadlineScale,
              onProgress: (text) => {
                task.output = text;
              },
            }),
          );
        },
      })),
    ],
    {
      ctx: context,
      // Ctrl-C is the testbed's: it takes the guests down first.
      registerSignalListeners: false,
      fallbackRenderer: 'simple',
      rendererOptions: { collapseSubtasks: false },
    },
  );
  try {
    await tasks.run();
    const report = reportOf(context);
    if (options.jsonPath) await writeFile(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`);
    print(report);
    return report;
  } finally {
    await context.testbed?.stop();
  }
}

function reportOf({ testbed, containers }: Context): DemoReport {
  return {
    host: {
      cpus: cpus().length,
      memoryMiB: Math.round(totalmem() / MEBIBYTE),
      kernel: release(),
      node: process.version,
      qemu: testbed.qemuVersion,
    },
    guests: testbed.guests.map(({ accelerator, memoryMiB, vcpus }) => ({ accelerator, memoryMiB, vcpus })),
    containers,
  };
}

function print(report: DemoReport): void {
  const lines = [
    '',
    ...report.containers.flatMap((container) => [...containerTable(container), '']),
    ...explanation(report),
    '',
    ...LEGEND,
  ];
  console.log(lines.join('\n'));
}
