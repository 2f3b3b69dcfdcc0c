import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { contentsTree } from '../trees/contents-tree.ts';
import { diffTree } from '../trees/diff-tree.ts';
import { formatTree } from '../trees/tree.ts';

/** What is in checkpoints; verbs below `checkpoint`. */
export function addContentsCommands(checkpoint: Command, context: CliContext): void {
  checkpoint
    .command('inspect')
    .description('what a checkpoint holds: processes, handles, memory by mapping, working set')
    .argument('<checkpoint>')
    .option('--mappings', 'every mapping by itself, not those of a kind together')
    .action((id: string, flags: { mappings?: boolean }) =>
      context.withPlane(
        (client) => client.checkpoints.contents(id),
        (contents) => formatTree(contentsTree(contents, { eachMapping: flags.mappings === true })),
      ),
    );
  checkpoint
    .command('diff')
    .description('how the second checkpoint differs from the first')
    .argument('<from>')
    .argument('<to>')
    .action((from: string, to: string) =>
      context.withPlane(
        (client) => client.checkpoints.diff(from, to),
        (diff) => formatTree(diffTree(diff)),
      ),
    );
}
