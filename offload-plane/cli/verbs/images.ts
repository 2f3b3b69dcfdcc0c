import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';

const MEBIBYTE = 1024 * 1024;

export function addImageCommands(program: Command, context: CliContext): void {
  program
    .command('images')
    .description('list the images')
    .action(() =>
      context.withPlane(
        (client) => client.images.list(),
        (images) =>
          images.map(({ name, digest, createdAt, rootfsBytes }) => ({
            name,
            digest: digest.slice(0, 19),
            createdAt,
            MiB: Math.round(rootfsBytes / MEBIBYTE),
          })),
      ),
    );
  program
    .command('import')
    .description('import an OCI image layout (a directory or a tar)')
    .argument('<path>')
    .option('--name <name>', 'name of the image')
    .option('--tag <tag>', 'which image of a layout that holds several')
    .action((path: string, { name, tag }: { name?: string; tag?: string }) =>
      context.withPlane((client) =>
        client.images.import({ path: resolve(path), ...(name ? { name } : {}), ...(tag ? { tag } : {}) }),
      ),
    );
}
