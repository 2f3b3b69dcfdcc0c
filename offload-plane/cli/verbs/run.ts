/** `run` and `create`. */
import type { Command } from 'commander';
import { OffloadError } from '../../../platform/errors.ts';
import type { PlaneClient } from '../../client/index.ts';
import type { ContainerView } from '../../http-api/schemas/containers.ts';
import { type CliContext, CliFailure } from '../context.ts';
import { addRunOptions, bodyOf, type RunFlags } from '../run-options.ts';
import { DEFAULT_DETACH_KEYS } from '../terminal/detach-keys.ts';
import { exitCodeOf, runTerminal } from '../terminal/run-terminal.ts';

/** As Docker has it: the failure is the plane's or ours, not the contained process's. */
export const PLANE_FAILED = 125;

interface ForegroundFlags extends RunFlags {
  detach?: boolean;
  rm?: boolean;
  detachKeys?: string;
}

export function addRunCommands(program: Command, context: CliContext): void {
  addRunOptions(
    program
      .command('create')
      .description('create a container and leave it unstarted')
      .argument('<image>')
      .argument('[command...]')
      .passThroughOptions(),
  ).action((image: string, command: string[], flags: RunFlags) =>
    context.withPlane(
      (client) => client.containers.create(bodyOf(image, command, flags, process.env)),
      ({ id }) => `${id}\n`,
    ),
  );
  addRunOptions(
    program
      .command('run')
      .description('create a container, start it, and be its terminal until it ends')
      .argument('<image>')
      .argument('[command...]')
      .passThroughOptions()
      .option('-d, --detach', 'print its id and let it run in the background')
      .option('--rm', 'delete it when it ends')
      .option('--detach-keys <keys>', 'keys that leave it running', DEFAULT_DETACH_KEYS),
  ).action(async (image: string, command: string[], flags: ForegroundFlags) => {
    try {
      if (flags.detach && flags.rm) {
        throw new OffloadError(
          'invalid_request',
          'run: --rm is for a container that is waited for, not for -d',
        );
      }
      await context.withPlane(
        (client) => run(client, { image, command, flags }),
        (container) => `${container?.id}\n`,
      );
    } catch (error) {
      throw new CliFailure(error as Error, PLANE_FAILED);
    }
  });
}

interface Wanted {
  image: string;
  command: string[];
  flags: ForegroundFlags;
}

/** @returns the container when it is left running in the background */
async function run(
  client: PlaneClient,
  { image, command, flags }: Wanted,
): Promise<ContainerView | undefined> {
  const { tty: terminal = false, interactive: openStdin = false, detach, detachKeys } = flags;
  const { id } = await client.containers.create(bodyOf(image, command, flags, process.env));
  const start = () => client.containers.start(id);
  try {
    if (detach) return await start();
    const end = await runTerminal(client, id, { terminal, openStdin, detachKeys, onJoined: start });
    process.exitCode = exitCodeOf(end);
    if (flags.rm && 'exitCode' in end) await client.containers.remove(id);
    return undefined;
  } catch (error) {
    // One that did not start is of no use to who asked for it to go at its end.
    if (flags.rm) await client.containers.remove(id, { force: true }).catch(() => undefined);
    throw error;
  }
}
