import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { imageRows, pruneText, shortId } from '../image-rows.ts';
import { tarFrom } from '../tar-files.ts';

interface PullFlags {
  tlsVerify?: string;
  authfile?: string;
  platform?: string;
}

export function addImageCommands(program: Command, context: CliContext): void {
  addList(program.command('images'), context);
  addPull(program.command('pull'), context);
  addImport(program.command('import'), context);
  addLoad(program.command('load'), context);
  addRemove(program.command('rmi'), context);
  const image = program.command('image').description('images, as `image VERB`');
  addList(image.command('ls'), context);
  addPull(image.command('pull'), context);
  addImport(image.command('import'), context);
  addLoad(image.command('load'), context);
  addRemove(image.command('rm'), context);
  image
    .command('inspect')
    .description('all that is known of images, as JSON')
    .argument('<image...>')
    .action((names: string[]) => context.inspectEach(names, (client, name) => client.images.inspect(name)));
  image
    .command('prune')
    .description('remove images without a name that nothing needs')
    .option('-a, --all', 'all that no container and no checkpoint needs')
    .action(({ all = false }: { all?: boolean }) =>
      context.withPlane((client) => client.images.prune({ all }), pruneText),
    );
}

function addList(command: Command, context: CliContext): void {
  command
    .description('list the images')
    .option('-q, --quiet', 'only their ids')
    .action(({ quiet }: { quiet?: boolean }) =>
      context.withPlane(
        (client) => client.images.list(),
        (images) =>
          quiet ? images.map((image) => `${shortId(image)}\n`).join('') : imageRows(images, context.nowMs()),
      ),
    );
}

function addPull(command: Command, context: CliContext): void {
  command
    .description('fetch an image from a registry')
    .argument('<reference>', '[registry/]repository[:tag][@sha256:digest]')
    .option('--tls-verify <boolean>', 'false: plain HTTP and unknown certificates are fine')
    .option('--authfile <path>', "credentials, on the plane's side, as docker, podman and skopeo keep them")
    .option('--platform <platform>', 'linux/amd64, which is what guests run')
    .action((reference: string, { tlsVerify, authfile, platform }: PullFlags) =>
      context.withPlane(
        (client) =>
          client.images.pull({
            reference,
            ...(tlsVerify === undefined ? {} : { tlsVerify: tlsVerify !== 'false' }),
            ...(authfile === undefined ? {} : { authFile: resolve(authfile) }),
            ...(platform === undefined ? {} : { platform }),
          }),
        (image) => `${image.digest}\n`,
      ),
    );
}

function addImport(command: Command, context: CliContext): void {
  command
    .description('import an OCI image layout (a directory or a tar) or an archive of docker save')
    .argument('<path>', 'on the plane; - for a tar on standard input, which is sent there')
    .option('--name <name>', 'name of the image')
    .option('--tag <tag>', 'which image of a layout that holds several')
    .action((path: string, { name, tag }: { name?: string; tag?: string }) => {
      const chosen = { ...(name ? { name } : {}), ...(tag ? { tag } : {}) };
      return context.withPlane(
        (client) =>
          path === '-'
            ? client.images.load(process.stdin, chosen)
            : client.images.import({ path: resolve(path), ...chosen }),
        (image) => `${image.name} ${image.digest}\n`,
      );
    });
}

function addLoad(command: Command, context: CliContext): void {
  command
    .description('send a tar to the plane and import it: an archive of docker save, or an OCI image layout')
    .option('-i, --input <file>', 'default: standard input')
    .option('--name <name>', 'name of the image (default: those that the archive brings)')
    .option('--tag <tag>', 'which image of a layout that holds several')
    .action(({ input, name, tag }: { input?: string; name?: string; tag?: string }) =>
      context.withPlane(
        (client) => {
          const { tar, totalBytes } = tarFrom(input);
          const chosen = { ...(name ? { name } : {}), ...(tag ? { tag } : {}) };
          return client.images.load(tar, chosen, totalBytes);
        },
        (image) => `${image.name} ${image.digest}\n`,
      ),
    );
}

function addRemove(command: Command, context: CliContext): void {
  command
    .description('remove images, or names of them')
    .argument('<image...>')
    .action((names: string[]) => context.forEach(names, (client, name) => client.images.remove(name)));
}
