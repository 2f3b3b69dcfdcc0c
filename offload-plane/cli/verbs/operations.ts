import type { Command } from 'commander';
import type { PlaneClient } from '../../client/index.ts';
import type { OperationView } from '../../operations/operation.ts';
import type { CliContext } from '../context.ts';
import { age, duration } from '../format.ts';

/** A table is to fit a screen. */
const PROGRESS_LENGTH = 60;

export function addOperationCommands(program: Command, context: CliContext): void {
  addList(program.command('operations'), context);
  const operation = program.command('operation').description('long calls: what runs, and what became of it');
  addList(operation.command('ls'), context);
  operation
    .command('inspect')
    .description('operations as JSON')
    .argument('<operation...>')
    .action((ids: string[]) => context.inspectEach(ids, (client, id) => client.operations.inspect(id)));
  operation
    .command('wait')
    .description('wait until an operation ends, and tell how; its progress is shown on a terminal')
    .argument('<operation>')
    .action((id: string) =>
      context.withPlane(
        (client) => untilEnded(client, id),
        (ended) => rowOf(ended, context.nowMs()),
      ),
    );
  operation
    .command('cancel')
    .description('ask operations to end; what they have made goes')
    .argument('<operation...>')
    .action((ids: string[]) => context.forEach(ids, (client, id) => client.operations.cancel(id)));
}

function addList(command: Command, context: CliContext): void {
  command
    .description('list the operations, the newest first')
    .option('-q, --quiet', 'only their ids')
    .action(({ quiet }: { quiet?: boolean }) =>
      context.withPlane(
        async (client) =>
          (await client.operations.list()).sort((a, b) => b.createdAt.localeCompare(a.createdAt)),
        (operations) =>
          quiet
            ? operations.map(({ id }) => `${id}\n`).join('')
            : operations.map((operation) => rowOf(operation, context.nowMs())),
      ),
    );
}

async function untilEnded(client: PlaneClient, id: string): Promise<OperationView> {
  const operation = await client.operations.inspect(id);
  const { watcher } = client.connection;
  // Whoever only watches cancels nothing by leaving.
  watcher?.signal.addEventListener('abort', () => process.exit(130));
  for await (const { progress } of client.operations.events(id)) {
    watcher?.onProgress(progress, operation);
  }
  const ended = await client.operations.inspect(id);
  if (ended.phase !== 'succeeded') process.exitCode = 1;
  return ended;
}

function rowOf(operation: OperationView, nowMs: number): object {
  const { id, kind, subject, phase, progress, error, createdAt, endedAt } = operation;
  const endMs = endedAt === undefined ? nowMs : Date.parse(endedAt);
  return {
    ...{ id, kind, subject, phase },
    progress: phase === 'succeeded' ? '-' : shorten(error?.message ?? progressText(progress)),
    created: age(createdAt, nowMs),
    took: duration(Math.max(0, endMs - Date.parse(createdAt))),
  };
}

/** The rest is in `operation inspect`. */
const shorten = (text: string): string =>
  text.length <= PROGRESS_LENGTH ? text : `${text.slice(0, PROGRESS_LENGTH - 1)}…`;

const progressText = ({ text, fraction }: OperationView['progress']): string =>
  fraction === undefined ? text : `${text} (${Math.round(fraction * 100)}%)`;
