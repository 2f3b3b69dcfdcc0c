/** What the verbs have in common: the plane they speak to, and how its answers are printed. */
import type { Command } from 'commander';
import { defaultPlaneSocket } from '../../platform/places.ts';
import { createPlaneClient, type PlaneClient } from '../client/index.ts';
import { printRows } from './rows.ts';

/** An answer as people read it: rows of a table, or text as it is. */
export type ForPeople = readonly object[] | object | string;

export interface CliContext {
  /** Whether answers are printed as JSON, for programs. */
  readonly json: boolean;
  /**
   * Gives the work a client of the plane, and prints what it answers (nothing when undefined): as JSON as
   * it is, else as a table of what `present` makes of it.
   */
  withPlane<T>(work: (client: PlaneClient) => Promise<T>, present?: (answer: T) => ForPeople): Promise<void>;
  print<T>(answer: T, present?: (answer: T) => ForPeople): void;
}

interface GlobalFlags {
  socket?: string;
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
    async withPlane(work, present) {
      const socketPath = flags.socket ?? defaultPlaneSocket();
      const client = createPlaneClient({ socketPath });
      try {
        const answer = await work(client);
        if (answer !== undefined) context.print(answer, present);
      } finally {
        await client.close();
      }
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

/** Gives a command and its own `--socket` and `--json`, so that they may stand before a verb and behind it. */
export function addCommonOptions(command: Command): void {
  const has = (flag: string) => command.options.some(({ long }) => long === flag);
  if (!has('--socket')) {
    command.option(
      '--socket <path>',
      "the plane's Unix socket (default: $OFFLOAD_SOCKET, or that of `offload up`)",
    );
  }
  if (!has('--json')) command.option('--json', 'print answers as JSON');
  if (command.parent) for (const verb of command.commands) addCommonOptions(verb);
}
