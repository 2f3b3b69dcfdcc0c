import { type Command, InvalidArgumentError } from 'commander';
import type { DrainResult, GuestView } from '../../http-api/schemas/guests.ts';
import type { CliContext } from '../context.ts';
import { shortBytes } from '../format.ts';

export function addGuestCommands(program: Command, context: CliContext): void {
  addList(program.command('guests'), context);
  const guest = program.command('guest').description('guests, as `guest VERB`');
  addList(guest.command('ls'), context);
  guest
    .command('inspect')
    .description('all that is known of guests, as JSON')
    .argument('<guest...>')
    .action((names: string[]) => context.inspectEach(names, (client, name) => client.guests.inspect(name)));
  guest
    .command('register')
    .description('connect the plane to a guest that runs')
    .argument('<name>')
    .requiredOption('--vsock <path>', 'its vsock as a Unix socket')
    .requiredOption('--qmp <path>', 'a QMP socket of its QEMU that is the plane’s alone')
    .option('--accelerator <name>', 'as it is told to others', 'unknown')
    .option('--memory-mib <mebibytes>', 'as it is told to others', parseNumber, 1_024)
    .option('--vcpus <count>', 'as it is told to others', parseNumber, 1)
    .action((name: string, { vsock: vsockPath, qmp: qmpPath, accelerator, memoryMib: memoryMiB, vcpus }) =>
      context.withPlane(
        (client) => client.guests.register({ name, vsockPath, qmpPath, accelerator, memoryMiB, vcpus }),
        (made) => `${made.name}\n`,
      ),
    );
  guest
    .command('cordon')
    .description('give guests no new containers')
    .argument('<guest...>')
    .action((names: string[]) => context.forEach(names, (client, name) => client.guests.cordon(name)));
  guest
    .command('uncordon')
    .description('give guests new containers again')
    .argument('<guest...>')
    .action((names: string[]) => context.forEach(names, (client, name) => client.guests.uncordon(name)));
  guest
    .command('drain')
    .description('move the containers of a guest into others, and give it no new ones')
    .argument('<guest>')
    .option('--stop', 'stop what cannot be moved (default: it is left as it is)')
    .action((name: string, { stop }: { stop?: boolean }) =>
      context.withPlane((client) => client.guests.drain(name, stop ? 'stop' : 'leave'), drainRows),
    );
  guest
    .command('rm')
    .description('forget guests; their containers are lost, they themselves run on')
    .argument('<guest...>')
    .action((names: string[]) => context.forEach(names, (client, name) => client.guests.remove(name)));
}

function addList(command: Command, context: CliContext): void {
  command
    .description('list the guests')
    .option('-q, --quiet', 'only their names')
    .action(({ quiet }: { quiet?: boolean }) =>
      context.withPlane(
        (client) => client.guests.list(),
        (guests) => (quiet ? guests.map(({ name }) => `${name}\n`).join('') : guests.map(rowOf)),
      ),
    );
}

const rowOf = ({ name, phase, cordoned, health, accelerator, memoryMiB, vcpus }: GuestView) => ({
  name,
  phase: cordoned ? `${phase}, cordoned` : phase,
  memory: `${memoryMiB} MiB`,
  free: shortBytes(health.memoryAvailableBytes),
  cpus: vcpus,
  accelerator,
  kernel: health.kernel,
  criu: health.criu,
  agent: health.agent,
});

const drainRows = ({ moved, stopped, left }: DrainResult) => [
  ...moved.map(({ container, guest }) => ({ container, outcome: `moved to ${guest}`, reason: '' })),
  ...stopped.map(({ container, reason }) => ({ container, outcome: 'stopped', reason })),
  ...left.map(({ container, reason }) => ({ container, outcome: 'left', reason })),
];

function parseNumber(value: string): number {
  if (!/^[1-9]\d{0,7}$/.test(value)) throw new InvalidArgumentError('expected a positive whole number');
  return Number(value);
}
