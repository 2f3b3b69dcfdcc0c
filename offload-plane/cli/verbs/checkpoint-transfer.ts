import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { OffloadError } from '../../../platform/errors.ts';
import type { CliContext } from '../context.ts';

/** Checkpoints to files and back; verbs below `checkpoint`. */
export function addTransferCommands(checkpoint: Command, context: CliContext): void {
  checkpoint
    .command('export')
    .description('write a checkpoint as a tar, which checkpointctl reads')
    .argument('<checkpoint>')
    .option('-o, --output <file>', 'default: standard output')
    .action((id: string, { output }: { output?: string }) =>
      context.withPlane(async (client) => {
        if (output === undefined && process.stdout.isTTY) {
          throw new OffloadError(
            'invalid_request',
            'export checkpoint: a terminal cannot take a tar; use --output',
          );
        }
        const tar = await client.checkpoints.export(id);
        if (output === undefined) await pipeline(tar, process.stdout);
        else await intoFile(tar, output);
      }),
    );
  checkpoint
    .command('import')
    .description('take back a checkpoint that was exported')
    .argument('[file]', 'default: standard input')
    .option('--id <id>', 'default: the name it had')
    .option('--tenant <tenant>', 'default: whose it was')
    .action((file: string | undefined, flags: { id?: string; tenant?: string }) =>
      context.withPlane((client) => {
        const { id, tenant } = flags;
        const source = file === undefined || file === '-' ? process.stdin : createReadStream(file);
        return client.checkpoints.import(source, {
          ...(id === undefined ? {} : { id }),
          ...(tenant === undefined ? {} : { tenant }),
        });
      }),
    );
}

/** What is half written goes: it looks like a checkpoint, and is none. */
async function intoFile(tar: NodeJS.ReadableStream, path: string): Promise<void> {
  try {
    await pipeline(tar, createWriteStream(path, { mode: 0o600 }));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}
