/** What the verbs have in common: the plane they speak to, and how its answers are printed. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import { defaultPlaneSocket } from '../../platform/places.ts';
import type { PlaneAddress, PlaneClient } from '../client/index.ts';
import { printableLines } from './printable.ts';
import { openProgressLine } from './progress-line.ts';
import { printRows } from './rows.ts';

/** An answer as people read it: rows of a table, or text as it is. */
export type ForPeople = readonly object[] | object | string;

export interface CliContext {
  /** Whether answers are printed as JSON, for programs. */
  readonly json: boolean;
  nowMs(): number;
  /**
   * Gives the work a client of the plane, and prints what it answers (nothing when undefined): as JSON as
   * it is, else as a table of what `present` makes of it.
   */
  withPlane<T>(work: (client: PlaneClient) => Promise<T>, present?: (answer: T) => ForPeople): Promise<void>;
  /**
   * Does the work for each name, one after the other, and prints the names; one that fails keeps no other
   * from its turn.
   */
  forEach(
    names: readonly string[],
    work: (client: PlaneClient, name: string) => Promise<unknown>,
  ): Promise<void>;
  /** Prints what is found of these names as JSON, in their order; those that are not found are told afterwards. */
  inspectEach<T>(
    names: readonly string[],
    inspect: (client: PlaneClient, name: string) => Promise<T>,
  ): Promise<void>;
  print<T>(answer: T, present?: (answer: T) => ForPeople): void;
}

/** An error with an exit code of its own; without one it is 1. */
export class CliFailure extends Error {
  readonly exitCode: number;

  constructor(error: Error, exitCode: number) {
    super(error.message, { cause: error });
    this.exitCode = exitCode;
  }
}

interface GlobalFlags {
  socket?: string;
  url?: string;
  tokenFile?: string;
  json?: boolean;
}

/** Makes the context of a program; `addCommonOptions` gives its flags to every verb. */
export function createContext(program: Command): CliContext {
  let flags: GlobalFlags = {};
  program.hook('preAction', (_program, verb) => {
    flags = verb.optsWithGlobals<GlobalFlags>();
  });

  const context: CliContext = {
    get json() {
      return flags.json === true;
    },
    nowMs: () => Date.now(),
    async withPlane(work, present) {
      // Not before it is needed: half of the time a verb takes is to load what it uses.
      const { createPlaneClient } = await import('../client/index.ts');
      const progress = openProgressLine(process.stderr);
      const client = createPlaneClient(addressOf(flags, process.env), progress?.watcher);
      try {
        const answer = await work(client);
        progress?.close();
        if (answer !== undefined) context.print(answer, present);
      } finally {
        progress?.close();
        await client.close();
      }
    },
    async forEach(names, work) {
      const failures: Error[] = [];
      await context.withPlane(
        async (client) => {
          const done: string[] = [];
          for (const name of names) {
            await work(client, name).then(
              () => done.push(name),
              (error: Error) => failures.push(error),
            );
          }
          return done;
        },
        (done) => done.map((name) => `${name}\n`).join(''),
      );
      tellFailures(failures);
    },
    async inspectEach(names, inspect) {
      const failures: Error[] = [];
      await context.withPlane(
        async (client) => {
          const looks = await Promise.allSettled(names.map((name) => inspect(client, name)));
          return looks.flatMap((look) => {
            if (look.status === 'fulfilled') return [look.value];
            failures.push(look.reason);
            return [];
          });
        },
        (found) => `${JSON.stringify(found, null, 2)}\n`,
      );
      tellFailures(failures);
    },
    print(answer, present = (value) => value as ForPeople) {
      if (flags.json) {
        console.log(JSON.stringify(answer, null, 2));
        return;
      }
      const shown = present(answer);
      if (typeof shown === 'string') process.stdout.write(shown);
      else printRows((Array.isArray(shown) ? shown : [shown]) as Record<string, unknown>[]);
    },
  };
  return context;
}

/** @throws the first of them, when the others are told */
function tellFailures([first, ...others]: readonly Error[]): void {
  for (const { message } of others) process.stderr.write(`offload: ${printableLines(message)}\n`);
  if (first) throw first;
}

/** `--url` with `--token-file`, or the Unix socket; flags before the environment. */
export function addressOf(flags: GlobalFlags, env: NodeJS.ProcessEnv): PlaneAddress {
  const url = flags.url ?? (flags.socket === undefined ? env.OFFLOAD_URL : undefined);
  if (url === undefined || url === '') return { socketPath: flags.socket ?? defaultPlaneSocket(env) };
  if (!URL.canParse(url))
    throw new OffloadError('invalid_request', `--url ${url}: expected http://address:port`);
  const tokenFile = flags.tokenFile ?? env.OFFLOAD_TOKEN_FILE;
  const token = tokenFile ? readToken(tokenFile) : undefined;
  return { url: new URL(url).origin, ...(token === undefined ? {} : { token }) };
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw toOffloadError(error, `read token file ${file}`);
  }
}

/** Gives a command and its own the flags of all, so that they may stand before a verb and behind it. */
export function addCommonOptions(command: Command): void {
  const has = (flag: string) => command.options.some(({ long }) => long === flag);
  if (!has('--json')) command.option('--json', 'print answers as JSON');
  if (!has('--socket')) {
    command.option(
      '--socket <path>',
      "the plane's Unix socket (default: $OFFLOAD_SOCKET, or that of `offload up`)",
    );
  }
  if (!has('--url')) {
    command.option('--url <url>', 'a plane on TCP, such as http://127.0.0.1:8600 (default: $OFFLOAD_URL)');
    command.option('--token-file <file>', 'holds its token (default: $OFFLOAD_TOKEN_FILE)');
  }
  if (command.parent) for (const verb of command.commands) addCommonOptions(verb);
}
