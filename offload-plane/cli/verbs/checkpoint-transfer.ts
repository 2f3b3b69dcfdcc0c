import type { Command } from 'commander';
import { meter, type PlaneClient } from '../../client/index.ts';
import { PAGE_BYTES } from '../../page-store/limits.ts';
import { checkpointRow } from '../checkpoint-rows.ts';
import type { CliContext } from '../context.ts';
import { expectNoTerminal, saveTar, tarFrom } from '../tar-files.ts';

/** Checkpoints to files and back; verbs below `checkpoint`. */
export function addTransferCommands(checkpoint: Command, context: CliContext): void {
  checkpoint
    .command('export')
    .description('write a checkpoint as a tar, which checkpointctl reads')
    .argument('<checkpoint>')
    .option('-o, --output <file>', 'default: standard output')
    .action((id: string, { output }: { output?: string }) =>
      context.withPlane((client) => exportTo(client, id, output)),
    );
  checkpoint
    .command('import')
    .description('take back a checkpoint that was exported')
    .argument('[file]', 'default: standard input')
    .option('--id <id>', 'default: the name it had')
    .option('--tenant <tenant>', 'default: whose it was')
    .action((file: string | undefined, { id, tenant }: { id?: string; tenant?: string }) =>
      context.withPlane(
        (client) => {
          const { tar, totalBytes } = tarFrom(file);
          const as = { ...(id === undefined ? {} : { id }), ...(tenant === undefined ? {} : { tenant }) };
          return client.checkpoints.import(tar, as, totalBytes);
        },
        (imported) => checkpointRow(imported, context.nowMs()),
      ),
    );
}

async function exportTo(client: PlaneClient, id: string, output: string | undefined): Promise<void> {
  if (output === undefined) expectNoTerminal('export checkpoint', 'use --output');
  const { watcher } = client.connection;
  const { pageCount } = await client.checkpoints.inspect(id);
  const counted = meter('writing', pageCount * PAGE_BYTES, (progress) =>
    watcher?.onProgress(progress, { kind: 'export', subject: id }),
  );
  await saveTar([await client.checkpoints.export(id), counted], output, watcher?.signal);
}
