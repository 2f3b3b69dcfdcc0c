import { type Command, Option } from 'commander';
import type { Policy } from '../../page-server/contract.ts';
import type { CliContext } from '../context.ts';
import { parsePort } from '../options.ts';

const POLICIES: Policy[] = ['eager', 'lazy', 'ordered', 'prefill'];

export function addRestoreCommands(program: Command, context: CliContext): void {
  program
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
      }),
    );
  program
    .command('restores')
    .description('list the restores')
    .action(() => context.withPlane((client) => client.restores.list()));
}
