import type { Command } from 'commander';
import type { PlaneEvent } from '../../journal/event.ts';
import type { CliContext } from '../context.ts';
import { parseTime } from '../times.ts';

/** Those after a number, or from a time on. */
interface Since {
  number: string;
  fromMs: number;
}

interface EventFlags {
  since?: Since;
  follow?: boolean;
  container?: string;
  guest?: string;
}

export function addEventCommands(program: Command, context: CliContext): void {
  program
    .command('events')
    .description('what happens to containers and guests, as it happens')
    .option(
      '--since <when>',
      'those after this number as well, 0 for all that are kept; or from a time on, such as 10m ago',
      parseSince,
    )
    .option('-f, --follow', 'wait for those to come (default)')
    .option('--no-follow', 'end when those that are kept have been printed')
    .option('--container <container>', 'only of this one')
    .option('--guest <guest>', 'only of this one')
    .action(({ since, follow, container, guest }: EventFlags) =>
      context.withPlane(async (client) => {
        for await (const event of client.events({ since: since?.number, follow, container, guest })) {
          if (event.atMs < (since?.fromMs ?? 0)) continue;
          process.stdout.write(`${context.json ? JSON.stringify(event) : eventLine(event)}\n`);
        }
      }),
    );
}

function parseSince(value: string): Since {
  if (/^\d+$/.test(value)) return { number: value, fromMs: 0 };
  return { number: '0', fromMs: Number(parseTime(value, Date.now())) * 1_000 };
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
