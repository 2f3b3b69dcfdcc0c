/** `run` and `create`. */
import type { Command } from 'commander';
import { pollUntil } from '../../../platform/deadline.ts';
import { OffloadError } from '../../../platform/errors.ts';
import type { Channels } from '../../client/channels.ts';
import type { PlaneClient } from '../../client/index.ts';
import type { ContainerView } from '../../http-api/schemas/containers.ts';
import type { CliContext } from '../context.ts';
import { exitsAsContainer } from '../exit-codes.ts';
import { addRunOptions, bodyOf, type RunFlags, templateRunOf } from '../run-options.ts';
import { DEFAULT_DETACH_KEYS } from '../terminal/detach-keys.ts';
import { undoneBySignal } from '../terminal/hold-signals.ts';
import { signalsTo } from '../terminal/pass-signals.ts';
import { exitCodeOf } from '../terminal/run-terminal.ts';
import { runSession } from '../terminal/session.ts';

const REMOVAL_TIMEOUT_MS = 30_000;
const REMOVAL_INTERVAL_MS = 50;

interface ForegroundFlags extends RunFlags {
  detach?: boolean;
  rm?: boolean;
  detachKeys?: string;
  sigProxy: boolean;
  template?: string;
}

interface Wanted {
  image: string | undefined;
  command: string[];
  flags: ForegroundFlags;
}

export function addRunCommands(program: Command, context: CliContext): void {
  addRunOptions(
    program
      .command('create')
      .description('create a container and leave it unstarted')
      .argument('<image>')
      .argument('[command...]')
      .passThroughOptions()
      .option('--rm', 'delete it when it ends'),
  ).action((image: string, command: string[], flags: RunFlags & { rm?: boolean }) =>
    context.withPlane(
      (client) => client.containers.create(requestOf(image, command, flags)),
      ({ id }) => `${id}\n`,
    ),
  );
  const run = addRunOptions(
    program
      .command('run')
      .description('create a container, start it, and be its terminal until it ends')
      .argument('[image]', 'what it is made from, unless --template names that')
      .argument('[command...]')
      .passThroughOptions()
      .option('-d, --detach', 'print its id and let it run in the background')
      .option('--rm', 'delete it when it ends')
      .option('--template <template>', 'start it from a template, warm; takes no image and no command')
      .option('--no-sig-proxy', 'keep signals to this program from the container')
      .option('--detach-keys <keys>', 'keys that leave it running', DEFAULT_DETACH_KEYS),
  );
  exitsAsContainer(run, async (image: string | undefined, command: string[], flags: ForegroundFlags) => {
    if (image === undefined && flags.template === undefined) run.error("missing required argument 'image'");
    await context.withPlane(
      (client) => runContainer(client, { image, command, flags }),
      (container) => `${container?.id}\n`,
    );
  });
}

const requestOf = (image: string, command: string[], flags: RunFlags & { rm?: boolean }) => ({
  ...bodyOf(image, command, flags, process.env),
  ...(flags.rm ? { autoRemove: true } : {}),
});

/** @returns the container when it is left running in the background */
async function runContainer(client: PlaneClient, wanted: Wanted): Promise<ContainerView | undefined> {
  const { image = '', command, flags } = wanted;
  if (flags.template !== undefined) return runTemplate(client, flags.template, wanted);
  const remove = (id: string) => client.containers.remove(id, { force: true });
  const id = await undoneBySignal(
    async () => (await client.containers.create(requestOf(image, command, flags))).id,
    remove,
  );
  const start = () => client.containers.start(id);
  try {
    if (flags.detach) return await start();
    const channels = await undoneBySignal(
      () => client.stdio.attach(id),
      () => remove(id),
    );
    return await join(client, id, channels, flags, start);
  } catch (error) {
    // One that did not start is of no use to who asked for it to go at its end.
    if (flags.rm) await remove(id).catch(() => undefined);
    throw error;
  }
}

async function runTemplate(
  client: PlaneClient,
  template: string,
  { image, flags }: Wanted,
): Promise<ContainerView | undefined> {
  if (image !== undefined) {
    throw new OffloadError(
      'invalid_request',
      `run --template ${template}: a template has its image and command, and takes no others (${image})`,
    );
  }
  const request = { ...templateRunOf(flags), ...(flags.rm ? { autoRemove: true } : {}) };
  const container = await undoneBySignal(
    () => client.templates.run(template, request),
    ({ id }) => client.containers.remove(id, { force: true }),
  );
  if (flags.detach) return container;
  const { id, terminal } = container;
  return join(client, id, await client.stdio.attach(id), { ...flags, tty: terminal });
}

async function join(
  client: PlaneClient,
  id: string,
  channels: Channels,
  flags: ForegroundFlags,
  start?: () => Promise<unknown>,
): Promise<undefined> {
  const { tty: terminal = false, interactive: openStdin = false, detachKeys, sigProxy, rm } = flags;
  const end = await runSession(channels, {
    ...{ terminal, openStdin, detachKeys },
    ...(start ? { onJoined: start } : {}),
    ...(sigProxy && !terminal ? { onSignal: signalsTo(client, id) } : {}),
  });
  if (rm && 'exitCode' in end) await untilRemoved(client, id);
  process.exitCode = exitCodeOf(end);
}

/** The plane deletes it; who has seen its end may use its name again. That is not worth waiting for ever. */
function untilRemoved(client: PlaneClient, id: string): Promise<unknown> {
  const isGone = () =>
    client.containers.inspect(id).then(
      () => undefined,
      () => true,
    );
  const bounds = { timeoutMs: REMOVAL_TIMEOUT_MS, intervalMs: REMOVAL_INTERVAL_MS };
  return pollUntil(isGone, { ...bounds, what: `removal of container ${id}` }).catch(() => undefined);
}
