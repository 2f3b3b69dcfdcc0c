import { type Command, Option } from 'commander';
import type { RestoreView } from '../../http-api/schemas/restores.ts';
import type { Policy } from '../../page-server/contract.ts';
import { restoreRow } from '../checkpoint-rows.ts';
import type { CliContext } from '../context.ts';
import { parsePort } from '../options.ts';

const POLICIES: Policy[] = ['eager', 'lazy', 'ordered', 'prefill'];

export function addRestoreCommands(program: Command, context: CliContext): void {
  addList(program.command('restores'), context);
  const restore = program
    .command('restore')
    .description('restore a checkpoint into a guest')
    .argument('<checkpoint>')
    .option('--name <name>', 'name of the new container (default: one is made up)')
    .option('--guest <guest>', 'where (default: the guest with the most free memory)')
    .addOption(new Option('--policy <policy>', 'how memory comes').choices(POLICIES))
    .option(
      '-p, --publish <port>',
      '[hostPort:]containerPort, repeatable (default: the ports it had)',
      parsePort,
    )
    .option('--record', 'record the order of first touches anew')
    .option('--clone', 'as another container, with a hostname and an address of its own')
    .option('--hold', 'leave the container paused before its first instruction')
    .action((checkpoint: string, flags) =>
      context.withPlane((client) => {
        const { name, guest, policy, publish, record, hold, clone } = flags;
        return client.restores.create({
          checkpoint,
          name,
          guest,
          policy,
          record,
          hold,
          clone,
          ...(publish ? { ports: publish } : {}),
        });
      }, rowOf(context)),
    );
  addList(restore.command('ls'), context);
  restore
    .command('inspect')
    .description('all that is known of restores, as JSON')
    .argument('<restore...>')
    .action((ids: string[]) => context.inspectEach(ids, (client, id) => client.restores.inspect(id)));
  restore
    .command('compare')
    .description('compare the memory of a restored container with its checkpoint; it stands still meanwhile')
    .argument('<restore>')
    .action((id: string) =>
      context.withPlane(
        (client) => client.restores.compareMemory(id),
        ({ memory }) => ({ restore: id, ...memory }),
      ),
    );
}

const rowOf = (context: CliContext) => (restore: RestoreView) => restoreRow(restore, context.nowMs());

function addList(command: Command, context: CliContext): void {
  command
    .description('list the restores, the newest first')
    .option('-q, --quiet', 'only their ids')
    .action(({ quiet }: { quiet?: boolean }) =>
      context.withPlane(
        async (client) =>
          (await client.restores.list()).sort((a, b) => b.createdAt.localeCompare(a.createdAt)),
        (restores) => (quiet ? restores.map(({ id }) => `${id}\n`).join('') : restores.map(rowOf(context))),
      ),
    );
}
