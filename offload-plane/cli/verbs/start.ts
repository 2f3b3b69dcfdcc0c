/** `start`, also as the terminal of what is started. */
import type { Command } from 'commander';
import { OffloadError } from '../../../platform/errors.ts';
import type { PlaneClient } from '../../client/index.ts';
import type { CliContext } from '../context.ts';
import { DEFAULT_DETACH_KEYS } from '../terminal/detach-keys.ts';
import { signalsTo } from '../terminal/pass-signals.ts';
import { exitCodeOf, runTerminal } from '../terminal/run-terminal.ts';

interface StartFlags {
  attach?: boolean;
  interactive?: boolean;
  detachKeys: string;
}

export function addStart(command: Command, context: CliContext): void {
  command
    .option('-a, --attach', 'be the terminal of the one that is started, and leave with its exit code')
    .option('-i, --interactive', 'the same, and give it standard input')
    .option('--detach-keys <keys>', 'keys that leave it running', DEFAULT_DETACH_KEYS)
    .action(async (names: string[], flags: StartFlags) => {
      if (!flags.attach && !flags.interactive) {
        return await context.forEach(names, (client, name) => client.containers.start(name));
      }
      const [name = '', ...others] = names;
      if (others.length > 0) {
        throw new OffloadError(
          'invalid_request',
          `start --attach: a terminal is that of one container, not of ${names.length} containers`,
        );
      }
      await context.withPlane((client) => startAttached(client, name, flags));
    });
}

async function startAttached(client: PlaneClient, name: string, flags: StartFlags): Promise<void> {
  const { id, terminal, openStdin } = await client.containers.inspect(name);
  const end = await runTerminal(client, id, {
    terminal,
    openStdin: openStdin && flags.interactive === true,
    detachKeys: flags.detachKeys,
    onJoined: () => client.containers.start(id),
    ...(terminal ? {} : { onSignal: signalsTo(client, id) }),
  });
  process.exitCode = exitCodeOf(end);
}
