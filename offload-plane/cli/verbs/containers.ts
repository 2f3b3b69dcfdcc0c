/** Verbs on containers that are there; run and create are in run.ts. */
import { type Command, InvalidArgumentError } from 'commander';
import { OffloadError } from '../../../platform/errors.ts';
import type { PlaneClient } from '../../client/index.ts';
import type { ContainerFilter, ContainerView } from '../../http-api/schemas/containers.ts';
import { hostText, portText, processRows, psRows } from '../container-rows.ts';
import type { CliContext } from '../context.ts';
import { parseCount } from '../options.ts';
import { signalOf } from '../run-options.ts';
import { addStart } from './start.ts';

/** What `ps` leaves out without --all. */
const AT_REST: readonly string[] = ['created', 'stopped', 'lost'];

export function addContainerCommands(program: Command, context: CliContext): void {
  addPs(program.command('ps'), context);
  addLifecycle(program, context);
  addLooks(program, context);
  const container = program.command('container').description('containers, as `container VERB`');
  addPs(container.command('ls'), context);
  addLifecycle(container, context);
  addLooks(container, context);
  addPrune(container.command('prune'), context);
}

function addPrune(command: Command, context: CliContext): void {
  command.description('delete all containers that have ended').action(() =>
    context.withPlane(
      async (client) => {
        const ended = await client.containers.list({ phase: 'stopped' });
        for (const { id } of ended) await client.containers.remove(id);
        return ended.map(({ name }) => name);
      },
      (names) => names.map((name) => `${name}\n`).join(''),
    ),
  );
}

interface PsFlags {
  all?: boolean;
  quiet?: boolean;
  filter?: ContainerFilter;
}

function addPs(command: Command, context: CliContext): void {
  command
    .description('list the containers')
    .option('-a, --all', 'also those that do not run')
    .option('-q, --quiet', 'only their ids')
    .option(
      '-f, --filter <filter>',
      'phase, guest, image, name or label, as key=value; repeatable',
      parseFilter,
    )
    .action(({ all, quiet, filter = {} }: PsFlags) =>
      context.withPlane(
        async (client) => {
          const found = await client.containers.list(filter);
          const shown = all || filter.phase ? found : found.filter(({ phase }) => !AT_REST.includes(phase));
          return shown.sort((a, b) => b.createdAt.localeCompare(a.createdAt));
        },
        (containers) =>
          quiet ? containers.map(({ id }) => `${id}\n`).join('') : psRows(containers, context.nowMs()),
      ),
    );
}

const FILTER_KEYS: Readonly<Record<string, keyof ContainerFilter>> = {
  phase: 'phase',
  status: 'phase',
  guest: 'guest',
  image: 'image',
  ancestor: 'image',
  name: 'name',
  label: 'label',
};
/** What Docker calls a phase that has another name here. */
const PHASE_OF_STATUS: Readonly<Record<string, string>> = { exited: 'stopped', dead: 'lost' };

function parseFilter(value: string, before: ContainerFilter = {}): ContainerFilter {
  const [given = '', ...rest] = value.split('=');
  const key = FILTER_KEYS[given];
  const wanted = rest.join('=');
  if (key === undefined || wanted === '') {
    throw new InvalidArgumentError(`expected one of ${Object.keys(FILTER_KEYS).join(', ')}, as key=value`);
  }
  if (key === 'label') return { ...before, label: [...(before.label ?? []), wanted] };
  return { ...before, [key]: key === 'phase' ? (PHASE_OF_STATUS[wanted] ?? wanted) : wanted };
}

function addLifecycle(parent: Command, context: CliContext): void {
  const verb = (name: string, description: string) =>
    parent.command(name).description(description).argument('<container...>');
  const simple = (
    name: string,
    description: string,
    work: (client: PlaneClient, name: string) => Promise<unknown>,
  ) => verb(name, description).action((names: string[]) => context.forEach(names, work));

  addStart(verb('start', 'start containers that were created or have ended'), context);
  simple('pause', 'freeze running containers', (client, name) => client.containers.pause(name));
  simple('unpause', 'let paused containers run on', (client, name) => client.containers.resume(name));
  simple('resume', 'the same as unpause', (client, name) => client.containers.resume(name));
  const ending = (command: Command) =>
    command
      .option('-s, --signal <signal>', 'what asks it to end (default: its own, or SIGTERM)', signalOf)
      .option('-t, --time <seconds>', 'how long it may take before it is killed (default: 10)', parseCount);
  interface Ending {
    signal?: string;
    time?: number;
  }
  const requestOf = ({ signal, time }: Ending) => ({
    ...(signal === undefined ? {} : { signal }),
    ...(time === undefined ? {} : { graceMs: time * 1_000 }),
  });
  ending(verb('stop', 'end containers: a signal, some time, and then SIGKILL')).action(
    (names: string[], flags: Ending) =>
      context.forEach(names, (client, name) => client.containers.stop(name, requestOf(flags))),
  );
  ending(verb('restart', 'end containers and start them again')).action((names: string[], flags: Ending) =>
    context.forEach(names, (client, name) => client.containers.restart(name, requestOf(flags))),
  );
  verb('kill', 'send a signal to containers')
    .option('-s, --signal <signal>', 'which one', signalOf, 'SIGKILL')
    .action((names: string[], { signal }: { signal: string }) =>
      context.forEach(names, (client, name) => client.containers.kill(name, signal)),
    );
  verb('rm', 'delete containers')
    .option('-f, --force', 'end those that run')
    .action((names: string[], { force = false }: { force?: boolean }) =>
      context.forEach(names, (client, name) => client.containers.remove(name, { force })),
    );
  parent
    .command('rename')
    .description('give a container another name')
    .argument('<container>')
    .argument('<name>')
    .action((container: string, name: string) =>
      context.withPlane(
        (client) => client.containers.rename(container, name),
        () => '',
      ),
    );
  verb('wait', 'wait until containers end, and print their exit codes').action((names: string[]) =>
    context.withPlane(
      async (client) => {
        const codes: number[] = [];
        for (const name of names) codes.push(await exitCodeOf(client, name));
        return codes;
      },
      (codes) => codes.map((code) => `${code}\n`).join(''),
    ),
  );
}

/** Of one that has ended, once it has. */
async function exitCodeOf(client: PlaneClient, name: string): Promise<number> {
  const { phase, exitCode } = await client.containers.wait(name);
  if (phase === 'lost') throw new OffloadError('guest_lost', `wait for container ${name}: its guest is gone`);
  return exitCode ?? 0;
}

function addLooks(parent: Command, context: CliContext): void {
  parent
    .command('inspect')
    .description('all that is known of containers, as JSON')
    .argument('<container...>')
    .action((names: string[]) =>
      context.inspectEach(names, (client, name) => client.containers.inspect(name)),
    );
  parent
    .command('top')
    .description('the processes of a container')
    .argument('<container>')
    .action((name: string) => context.withPlane((client) => client.containers.top(name), processRows));
  parent
    .command('port')
    .description('where the ports of a container are published')
    .argument('<container>')
    .argument('[port]', 'only where this one is', parsePortNumber)
    .action((name: string, port?: number) =>
      context.withPlane(
        async (client) => publishedPorts(await client.containers.inspect(name), port),
        (ports) => ports.map((one) => `${port === undefined ? portText(one) : hostText(one)}\n`).join(''),
      ),
    );
}

/** As docker's `port`: `6379` or `6379/tcp`. */
function parsePortNumber(value: string): number {
  const port = /^(\d{1,5})(?:\/tcp)?$/.exec(value)?.[1];
  if (port === undefined) throw new InvalidArgumentError('expected a port of the container, such as 6379');
  return Number(port);
}

function publishedPorts({ name, ports }: ContainerView, port?: number): ContainerView['ports'] {
  const wanted = ports.filter(({ containerPort }) => port === undefined || containerPort === port);
  if (port !== undefined && wanted.length === 0)
    throw new OffloadError('not_found', `port of container ${name}: ${port} is not published`);
  return wanted;
}
