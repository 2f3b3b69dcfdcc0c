/** Verbs about standard input and output: exec, attach, logs, cp. */
import { once } from 'node:events';
import { type Command, InvalidArgumentError } from 'commander';
import { STDERR } from '../../../interconnect/stdio-frames.ts';
import type { PlaneClient } from '../../client/index.ts';
import type { CliContext } from '../context.ts';
import { copy } from '../copy/copy.ts';
import { exitsAsContainer } from '../exit-codes.ts';
import { collect } from '../options.ts';
import { DEFAULT_DETACH_KEYS } from '../terminal/detach-keys.ts';
import { exitCodeOf, runTerminal } from '../terminal/run-terminal.ts';
import { runSession } from '../terminal/session.ts';
import { parseTime } from '../times.ts';

export function addStreamCommands(program: Command, context: CliContext): void {
  addExec(program, context);
  addAttach(program, context);
  addLogs(program, context);
  program
    .command('cp')
    .description('copy a file or directory into or out of a container')
    .argument('<from>', 'container:path, a path, or - for a tar on standard input')
    .argument('<to>', 'container:path, a path, or - for a tar on standard output')
    .action((from: string, to: string) => context.withPlane((client) => copy(client, from, to)));
}

function addExec(program: Command, context: CliContext): void {
  const exec = program
    .command('exec')
    .description('run a program in a running container, and leave with its exit code')
    .argument('<container>')
    .argument('<command...>')
    .passThroughOptions()
    .option('-i, --interactive', 'give it standard input')
    .option('-t, --tty', 'give it a terminal')
    .option('-d, --detach', 'do not wait for it; its output is dropped')
    .option('-e, --env <variable>', 'NAME=value, or NAME with its value here; repeatable', collect)
    .option('-w, --workdir <directory>', 'directory it starts in (default: the container’s)')
    .option('-u, --user <user>', 'name or number, and a group after a colon (default: the container’s)')
    .option('--detach-keys <keys>', 'keys that leave it running', DEFAULT_DETACH_KEYS);
  exitsAsContainer(exec, (container: string, command: string[], flags: ExecFlags) =>
    context.withPlane(
      (client) => execIn(client, container, command, flags),
      (started) => `${started?.id}\n`,
    ),
  );
}

interface ExecFlags {
  interactive?: boolean;
  tty?: boolean;
  detach?: boolean;
  env?: string[];
  workdir?: string;
  user?: string;
  detachKeys: string;
}

async function execIn(
  client: PlaneClient,
  container: string,
  command: string[],
  flags: ExecFlags,
): Promise<{ id: string } | undefined> {
  const { tty: terminal = false, interactive: openStdin = false, detach = false } = flags;
  const { columns, rows } = process.stdout;
  const started = await client.stdio.createExec(container, {
    command,
    terminal,
    openStdin,
    detach,
    env: (flags.env ?? []).map(withValue),
    ...(flags.workdir === undefined ? {} : { workingDir: flags.workdir }),
    ...(flags.user === undefined ? {} : { user: flags.user }),
    ...(terminal && process.stdout.isTTY ? { columns, rows } : {}),
  });
  if (detach) return { id: started.id };
  const channels = await client.stdio.attachExec(started.id);
  process.exitCode = exitCodeOf(
    await runSession(channels, { terminal, openStdin, detachKeys: flags.detachKeys }),
  );
  return undefined;
}

/** `NAME` alone takes the value it has here. */
const withValue = (variable: string) =>
  variable.includes('=') ? variable : `${variable}=${process.env[variable] ?? ''}`;

function addAttach(program: Command, context: CliContext): void {
  program
    .command('attach')
    .description("join this terminal to a container's standard streams, after its last output")
    .argument('<container>')
    .option('--detach-keys <keys>', 'keys that leave it running', DEFAULT_DETACH_KEYS)
    .option('--no-stdin', 'only watch')
    .action((container: string, flags: { detachKeys: string; stdin: boolean }) =>
      context.withPlane(async (client) => {
        const { terminal = false, openStdin = false } = await client.containers.inspect(container);
        const end = await runTerminal(client, container, {
          terminal,
          openStdin: openStdin && flags.stdin,
          detachKeys: flags.detachKeys,
        });
        process.exitCode = exitCodeOf(end);
      }),
    );
}

function parseTail(value: string): number | undefined {
  if (value === 'all') return undefined;
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('expected a number of lines, or all');
  return Number(value);
}

interface LogsFlags {
  follow?: boolean;
  since?: string;
  until?: string;
  tail?: number;
  timestamps?: boolean;
}

function addLogs(program: Command, context: CliContext): void {
  const time = (value: string) => parseTime(value, Date.now());
  program
    .command('logs')
    .description("a container's output")
    .argument('<container>')
    .option('-f, --follow', 'wait for what is written later')
    .option('--since <time>', 'only from then on: 2026-01-31T12:00:00Z, seconds since 1970, or 10m ago', time)
    .option('--until <time>', 'only until then', time)
    .option('-n, --tail <lines>', 'only the last so many lines (or all)', parseTail)
    .option('-t, --timestamps', 'begin each line with its time')
    .action((container: string, flags: LogsFlags) =>
      context.withPlane(async (client) => {
        for await (const { stream, bytes } of client.stdio.logs(container, { ...flags })) {
          const target = stream === STDERR ? process.stderr : process.stdout;
          if (!target.write(bytes)) await once(target, 'drain');
        }
      }),
    );
}
