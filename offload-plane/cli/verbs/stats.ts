/** `stats`: the figures of running containers, again and again. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { PlaneClient } from '../../client/index.ts';
import { type StatsSample, statsRow } from '../container-rows.ts';
import type { CliContext } from '../context.ts';

const INTERVAL_MS = 1_000;
const HOME_AND_CLEAR = '\x1b[H\x1b[2J';

export function addStatsCommand(program: Command, context: CliContext): void {
  program
    .command('stats')
    .description('what running containers use')
    .argument('[container...]', 'only these')
    .option('--no-stream', 'once, and not again and again')
    .action((names: string[], { stream }: { stream: boolean }) =>
      context.withPlane(async (client) => {
        let before = await sample(client, names, context);
        do {
          await delay(INTERVAL_MS);
          const now = await sample(client, names, context);
          if (stream && process.stdout.isTTY && !context.json) process.stdout.write(HOME_AND_CLEAR);
          context.print(
            now.map(({ container, stats }) => ({ id: container.id, name: container.name, ...stats })),
            () => now.map((one) => statsRow(one, earlier(before, one))),
          );
          before = now;
        } while (stream);
      }),
    );
}

const earlier = (before: readonly StatsSample[], { container: { id } }: StatsSample) =>
  before.find(({ container }) => container.id === id);

/** One that ends between the two calls is left out. */
async function sample(
  client: PlaneClient,
  names: readonly string[],
  context: CliContext,
): Promise<StatsSample[]> {
  const containers =
    names.length > 0
      ? await Promise.all(names.map((name) => client.containers.inspect(name)))
      : (await client.containers.list()).filter(({ phase }) => phase === 'running' || phase === 'paused');
  const outcomes = await Promise.allSettled(
    containers.map(async (container): Promise<StatsSample> => {
      const stats = await client.containers.stats(container.id);
      return { container, stats, atMs: context.nowMs() };
    }),
  );
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
}
