import { type Command, Option } from 'commander';
import type { CheckpointView } from '../../http-api/schemas/checkpoints.ts';
import { checkpointRow } from '../checkpoint-rows.ts';
import type { CliContext } from '../context.ts';
import { parseCount } from '../options.ts';
import { addPreparationOptions, preparationOf } from '../preparation-options.ts';
import { addContentsCommands } from './checkpoint-contents.ts';
import { addTransferCommands } from './checkpoint-transfer.ts';

export function addCheckpointCommands(program: Command, context: CliContext): void {
  const rowOf = (checkpoint: CheckpointView) => checkpointRow(checkpoint, context.nowMs());
  addList(program.command('checkpoints'), context);
  const checkpoint = program
    .command('checkpoint')
    .description('checkpoint a running container')
    .argument('<container>')
    .argument('<id>', 'name of the checkpoint')
    .option('--stop', 'end the container once the checkpoint is committed (default: it runs on)')
    .option('--parent <checkpoint>', 'its last one: only pages that have changed since are sent')
    .addOption(
      new Option('--pre-dump-rounds <count>', 'send pages so many times before it stands still').argParser(
        parseCount,
      ),
    )
    .action((container: string, id: string, flags) =>
      context.withPlane((client) => {
        const { stop, parent, preDumpRounds } = flags;
        return client.checkpoints.create({
          container,
          id,
          after: stop ? 'stop' : 'resume',
          ...(parent === undefined ? {} : { parent }),
          ...(preDumpRounds === undefined ? {} : { preDumpRounds }),
          ...preparationOf(flags),
        });
      }, rowOf),
    );
  addList(checkpoint.command('ls'), context);
  addPreparationOptions(checkpoint);
  addContentsCommands(checkpoint, context);
  addTransferCommands(checkpoint, context);
  checkpoint
    .command('rm')
    .description('delete checkpoints')
    .argument('<checkpoint...>')
    .action((ids: string[]) => context.forEach(ids, (client, id) => client.checkpoints.remove(id)));
  program
    .command('pin')
    .description('keep a checkpoint: it is neither evicted nor removed')
    .argument('<checkpoint>')
    .action((id: string) => context.withPlane((client) => client.checkpoints.pin(id), rowOf));
  program
    .command('unpin')
    .description('let a checkpoint go when room is needed')
    .argument('<checkpoint>')
    .action((id: string) => context.withPlane((client) => client.checkpoints.unpin(id), rowOf));
}

function addList(command: Command, context: CliContext): void {
  command
    .description('list the checkpoints')
    .option('-q, --quiet', 'only their ids')
    .action(({ quiet }: { quiet?: boolean }) =>
      context.withPlane(
        (client) => client.checkpoints.list(),
        (checkpoints) =>
          quiet
            ? checkpoints.map(({ id }) => `${id}\n`).join('')
            : checkpoints.map((checkpoint) => checkpointRow(checkpoint, context.nowMs())),
      ),
    );
}
