import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { age } from '../format.ts';

export function addOperationCommands(program: Command, context: CliContext): void {
  const operation = program.command('operation').description('long calls: what runs, and what became of it');
  operation
    .command('ls')
    .description('list the operations, the newest first')
    .action(() =>
      context.withPlane(
        async (client) =>
          (await client.operations.list()).sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1)),
        (operations) =>
          operations.map(({ id, kind, subject, phase, progress, createdAt }) => ({
            ...{ id, kind, subject, phase },
            progress: progress?.text ?? '-',
            created: age(createdAt, context.nowMs()),
          })),
      ),
    );
  operation
    .command('inspect')
    .description('one operation as JSON')
    .argument('<id>')
    .action((id: string) =>
      context.withPlane(
        (client) => client.operations.inspect(id),
        (found) => `${JSON.stringify(found, null, 2)}\n`,
      ),
    );
  operation
    .command('cancel')
    .description('ask operations to end; what they have made goes')
    .argument('<id...>')
    .action((ids: string[]) => context.forEach(ids, (client, id) => client.operations.cancel(id)));
}
