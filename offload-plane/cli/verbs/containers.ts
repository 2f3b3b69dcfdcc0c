import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { collect, parsePort, parseVolume } from '../options.ts';

export function addContainerCommands(program: Command, context: CliContext): void {
  program
    .command('ps')
    .description('list the containers')
    .action(() => context.withPlane((client) => client.containers.list()));
  program
    .command('run')
    .description('create and start a container')
    .argument('<image>')
    .argument('[command...]')
    .passThroughOptions()
    .requiredOption('--name <name>')
    .requiredOption('--guest <guest>')
    .option('--tenant <tenant>', 'whose it is: checkpoints of one tenant share equal pages')
    .option('-p, --publish <port>', '[hostPort:]containerPort, repeatable', parsePort)
    .option('-e, --env <variable>', 'NAME=value, repeatable', collect)
    .option('-v, --volume <volume>', 'name:/path[:ro], repeatable; made where there is none', parseVolume)
    .action((image: string, command: string[], flags) =>
      context.withPlane(async (client) => {
        const { name, guest, tenant, publish = [], env = [], volume = [] } = flags;
        const wanted = {
          name,
          guest,
          image,
          ports: publish,
          env,
          ...(volume.length > 0 ? { volumes: volume } : {}),
          ...(tenant === undefined ? {} : { tenant }),
          ...(command.length > 0 ? { command } : {}),
        };
        await client.containers.create(wanted);
        return client.containers.start(name);
      }),
    );
  program
    .command('kill')
    .description('send a signal to a container')
    .argument('<container>')
    .option('-s, --signal <signal>', 'which one', 'SIGTERM')
    .action((name: string, { signal }: { signal: string }) =>
      context.withPlane((client) => client.containers.kill(name, signal)),
    );
  program
    .command('pause')
    .description('pause a running container')
    .argument('<container>')
    .action((name: string) => context.withPlane((client) => client.containers.pause(name)));
  program
    .command('resume')
    .description('resume a paused container')
    .argument('<container>')
    .action((name: string) => context.withPlane((client) => client.containers.resume(name)));
  program
    .command('rm')
    .description('delete a container')
    .argument('<container>')
    .option('-f, --force', 'also one that runs')
    .action((name: string, flags: { force?: boolean }) =>
      context.withPlane((client) => client.containers.remove(name, flags)),
    );
  program
    .command('stats')
    .description("a container's cgroup figures")
    .argument('<container>')
    .action((name: string) => context.withPlane((client) => client.containers.stats(name)));
}
