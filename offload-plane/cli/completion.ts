/** What a shell offers behind `offload`: verbs and flags, and the names of what the plane has. */
import tab from '@bomb.sh/tab/commander';
import type { Command } from 'commander';
import type { PlaneClient } from '../client/index.ts';
import { BASH_COMPLETION } from './bash-completion.ts';
import { addressOf } from './context.ts';

/** A shell waits no longer than this for a plane, unless the environment says how long. */
const NAMES_TIMEOUT_MS = 1_500;
const TIMEOUT_VARIABLE = 'OFFLOAD_COMPLETION_TIMEOUT_MS';

interface Offer {
  value: string;
  description: string;
}
type Loader = (client: PlaneClient) => Promise<Offer[]>;

const containers: Loader = async (client) =>
  (await client.containers.list()).map(({ name, phase, guest }) => ({
    value: name,
    description: `${phase} in ${guest}`,
  }));
const guests: Loader = async (client) =>
  (await client.guests.list()).map(({ name, phase }) => ({ value: name, description: phase }));
const checkpoints: Loader = async (client) =>
  (await client.checkpoints.list()).map(({ id, image }) => ({ value: id, description: image }));
const images: Loader = async (client) =>
  (await client.images.list()).flatMap(({ names }) => names.map((value) => ({ value, description: '' })));
const volumes: Loader = async (client) =>
  (await client.volumes.list()).map(({ name }) => ({ value: name, description: '' }));

const templates: Loader = async (client) =>
  (await client.templates.list()).map(({ name, image }) => ({ value: name, description: image }));
const restores: Loader = async (client) =>
  (await client.restores.list()).map(({ id, phase }) => ({ value: id, description: phase }));
const operations: Loader = async (client) =>
  (await client.operations.list()).map(({ id, kind, subject }) => ({
    value: id,
    description: `${kind} ${subject}`,
  }));

/** By the name of an argument, or of an option. */
const LOADERS: Readonly<Record<string, Loader>> = {
  container: containers,
  guest: guests,
  checkpoint: checkpoints,
  parent: checkpoints,
  from: checkpoints,
  to: checkpoints,
  image: images,
  volume: volumes,
  template: templates,
  restore: restores,
  operation: operations,
};

/** To be called when all other verbs are there. */
export async function addCompletion(program: Command, argv: readonly string[]): Promise<void> {
  const root = tab(program, { completionCommandName: 'completion' });
  const printed = program.commands.find((command) => command.name() === 'completion');
  printed
    ?.description('print what a shell needs to complete verbs, flags and names')
    .action((shell: string) => {
      if (shell === 'bash') process.stdout.write(BASH_COMPLETION);
      else root.setup('offload', 'offload', shell);
    });
  if (argv[2] !== 'complete') return;
  const offers = await loadOffers();
  for (const command of [root, ...root.commands.values()]) {
    for (const place of [...command.arguments.values(), ...command.options.values()]) {
      const known = offers[('name' in place ? place.name : place.value) as keyof typeof offers];
      if (!known) continue;
      place.handler = (complete) => {
        for (const { value, description } of known) complete(value, description);
      };
    }
  }
}

/** Nothing where no plane answers: a shell that completes is no place for errors. */
async function loadOffers(): Promise<Record<string, Offer[]>> {
  const { createPlaneClient } = await import('../client/index.ts');
  const client = createPlaneClient(addressOf({}, process.env));
  const loading = [...new Set(Object.values(LOADERS))].map(
    async (load) => [load, await load(client)] as const,
  );
  const timeoutMs = Number(process.env[TIMEOUT_VARIABLE]) || NAMES_TIMEOUT_MS;
  const tooLate = new Promise<never>((_, reject) => setTimeout(reject, timeoutMs).unref());
  const loaded = await Promise.race([Promise.allSettled(loading), tooLate]).catch(() => []);
  const found = new Map(loaded.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])));
  return Object.fromEntries(Object.entries(LOADERS).map(([name, load]) => [name, found.get(load) ?? []]));
}
