/** The verbs that need this source tree: demo, test, bench. */
import { readFileSync, writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { SECTIONS } from '../../bench/restore/plan.ts';
import { accelerator, positiveInteger } from './values.ts';

export function addTestbedCommands(program: Command): void {
  program
    .command('demo')
    .description('boot guests, checkpoint warm containers, restore them under every policy, and compare')
    .option('--json <file>', 'write all figures to a file')
    .option('--repetitions <count>', 'restores of each policy', positiveInteger, 3)
    .option('--memory-mib <mebibytes>', 'memory of each guest', positiveInteger, 2_048)
    .option('--vcpus <count>', 'virtual CPUs of each guest', positiveInteger, 2)
    .option('--accelerator <name>', 'kvm or tcg (default: what a trial boot finds)', accelerator)
    .option(
      '--store <directory>',
      'directory that stands for the plane’s NVMe device (default: a temporary one)',
    )
    .action(async (flags) => {
      const { runDemo } = await import('../demo/demo.ts');
      const { json, store, memoryMib: memoryMiB, ...rest } = flags;
      await runDemo({
        ...rest,
        memoryMiB,
        ...(json ? { jsonPath: json } : {}),
        ...(store ? { storeDirectory: store } : {}),
      });
    });

  program
    .command('test')
    .description('run the tests')
    .argument('[filter]', 'only files whose path contains this')
    .option('--unit', 'only tests that need no guest')
    .action(async (filter: string | undefined, flags: { unit?: boolean }) => {
      const { runTests } = await import('../../test/run.ts');
      process.exitCode = (await runTests({ filter, unitOnly: flags.unit === true })) ? 0 : 1;
    });

  addBench(program);
}

function addBench(program: Command): void {
  const bench = program
    .command('bench')
    .description('measure restores and their parts, and what a guest pays');

  bench
    .command('restore')
    .description('restore plain processes natively, ours and stock CRIU in one run, and compare')
    .option('--json <file>', 'write all figures to a file')
    .option('--html <file>', 'write one page that shows them')
    .option('--repetitions <count>', 'restores of each variant in the reference case', positiveInteger)
    .option('--small', 'a form that takes the same way in less than a minute and says nothing about speed')
    .option('--device <directory>', 'where stores and images are put (default: below the cache directory)')
    .addOption(
      new Option(
        '--sections <names...>',
        'beside the reference case, which is always measured (default: all)',
      ).choices(['reference', ...SECTIONS]),
    )
    .action(async (flags) => {
      const { runRestoreBench } = await import('../../bench/restore/run.ts');
      const { json, html, small = false, repetitions, device, sections } = flags;
      await runRestoreBench({
        jsonPath: json,
        htmlPath: html,
        repetitions,
        small,
        deviceDirectory: device,
        sections,
      });
    });

  bench
    .command('guest-cost')
    .description('measure in a guest what it pays: beside containerd, crun by hand and a bare echo')
    .option('--json <file>', 'write all figures to a file')
    .option('--small', 'a form that takes the same way in about a minute and says nothing about cost')
    .action(async ({ json, small = false }: { json?: string; small?: boolean }) => {
      const { runGuestCost } = await import('../../bench/guest-cost/run.ts');
      const say = (text: string) => process.stderr.write(`bench: ${text}\n`);
      await runGuestCost({ jsonPath: json, small, say });
    });

  bench
    .command('load')
    .description('many containers in one guest, and clients that ask the plane about them for a minute')
    .option('--json <file>', 'write all figures to a file')
    .option(
      '--duration <s>',
      'seconds that count, in place of a minute: memory needs longer to tell',
      positiveInteger,
    )
    .option('--small', 'a form that takes the same way in about a minute and says nothing about speed')
    .action(async (options: { json?: string; duration?: number; small?: boolean }) => {
      const { json: jsonPath, duration: durationS, small = false } = options;
      const { runLoad } = await import('../../bench/load/run.ts');
      const say = (text: string) => process.stderr.write(`bench: ${text}\n`);
      await runLoad({ jsonPath, durationS, small, say });
    });

  bench
    .command('table')
    .description('the tables of a bench’s JSON as Markdown, printed or put between two marker lines')
    .argument('<json>', 'what a bench has written')
    .option('--into <document>', 'write them into this document, e.g. docs/benchmarks.md')
    .action(async (json: string, { into }: { into?: string }) => {
      const { intoDocument } = await import('../../bench/document.ts');
      const { tablesOf } = await import('../../bench/tables.ts');
      const { bench, markdown } = tablesOf(JSON.parse(readFileSync(json, 'utf8')));
      if (into === undefined) process.stdout.write(markdown);
      else writeFileSync(into, intoDocument(readFileSync(into, 'utf8'), bench, markdown));
    });

  bench
    .command('micro')
    .description('measure each stage of the page path by itself')
    .action(async () => {
      const { MICRO_FULL, microTable, runMicro } = await import('../../bench/micro.ts');
      process.stdout.write(`${microTable(await runMicro(MICRO_FULL))}\n`);
    });

  bench
    .command('compare')
    .description('restores by the plane and the pager of another revision and of this tree, in one run')
    .argument('<revision>', 'anything git knows')
    .option('--repetitions <count>', 'restores of each variant', positiveInteger, 5)
    .action(async (revision: string, flags: { repetitions: number }) => {
      const { compareTable, runCompare } = await import('../../bench/restore/compare.ts');
      const say = (text: string) => process.stderr.write(`bench: ${text}\n`);
      process.stdout.write(`${compareTable(await runCompare({ revision, ...flags, say }))}\n`);
    });
}
