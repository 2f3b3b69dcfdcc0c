import type { Command } from 'commander';
import type { CliContext } from '../context.ts';

export function addGuestCommands(program: Command, context: CliContext): void {
  program
    .command('guests')
    .description('list the guests')
    .action(() =>
      context.withPlane(
        (client) => client.guests.list(),
        (guests) =>
          guests.map(({ health, ...guest }) => ({ ...guest, agent: health.agent, criu: health.criu })),
      ),
    );
}
