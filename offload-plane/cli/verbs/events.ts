import type { Command } from 'commander';
import type { PlaneEvent } from '../../journal/event.ts';
import type { CliContext } from '../context.ts';

interface EventFlags {
  since?: string;
  follow?: boolean;
  container?: string;
  guest?: string;
}

export function addEventCommands(program: Command, context: CliContext): void {
  program
    .command('events')
    .description('what happens to containers and guests, as it happens')
    .option('--since <number>', 'those after this number as well; 0 for all that are kept')
    .option('--no-follow', 'end when those that are kept have been printed')
    .option('--container <container>', 'only of this one')
    .option('--guest <guest>', 'only of this one')
    .action(({ since, follow, container, guest }: EventFlags) =>
      context.withPlane(async (client) => {
        for await (const event of client.events({ since, follow, container, guest })) {
          process.stdout.write(`${context.json ? JSON.stringify(event) : eventLine(event)}\n`);
        }
      }),
    );
}

/** `2026-01-01T00:00:00.000Z 17 container exited web (guest-a) exitCode=1` */
function eventLine(event: PlaneEvent): string {
  const { atMs, sequence, type, event: what, name, container, guest, exitCode, reason } = event;
  return [
    new Date(atMs).toISOString(),
    sequence,
    type,
    what,
    name ?? container,
    guest === undefined || guest === name ? undefined : `(${guest})`,
    exitCode === undefined ? undefined : `exitCode=${exitCode}`,
    reason === undefined ? undefined : `reason=${JSON.stringify(reason)}`,
  ]
    .filter((part) => part !== undefined)
    .join(' ');
}
