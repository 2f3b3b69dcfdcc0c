import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { pruneText, volumeRows } from '../image-rows.ts';
import { parseBytes } from '../options.ts';

export function addVolumeCommands(program: Command, context: CliContext): void {
  const volume = program
    .command('volume')
    .description("volumes: disks on the plane's device, for containers");
  volume
    .command('ls')
    .description('list the volumes')
    .option('-q, --quiet', 'only their names')
    .action(({ quiet }: { quiet?: boolean }) =>
      context.withPlane(
        (client) => client.volumes.list(),
        (volumes) =>
          quiet ? volumes.map(({ name }) => `${name}\n`).join('') : volumeRows(volumes, context.nowMs()),
      ),
    );
  volume
    .command('create')
    .description('make a volume')
    .argument('<name>')
    .option('--size <bytes>', 'with k, m, g or t behind it for binary multiples (default: 1g)', parseBytes)
    .option('--reserve', 'take all of it from the device now (default: as it is written to)')
    .action((name: string, { size, reserve }: { size?: number; reserve?: boolean }) =>
      context.withPlane(
        (client) =>
          client.volumes.create({
            name,
            ...(size === undefined ? {} : { sizeBytes: size }),
            ...(reserve ? { reserved: true } : {}),
          }),
        (made) => `${made.name}\n`,
      ),
    );
  volume
    .command('inspect')
    .description('all that is known of volumes, as JSON')
    .argument('<volume...>')
    .action((names: string[]) => context.inspectEach(names, (client, name) => client.volumes.inspect(name)));
  volume
    .command('rm')
    .description('remove volumes and their data')
    .argument('<volume...>')
    .action((names: string[]) => context.forEach(names, (client, name) => client.volumes.remove(name)));
  volume
    .command('prune')
    .description('remove the volumes that no container has')
    .action(() => context.withPlane((client) => client.volumes.prune(), pruneText));
}
