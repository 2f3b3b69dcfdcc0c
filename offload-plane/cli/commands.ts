/** The CLI's verbs on a running plane; each one call of its HTTP API. */
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { OffloadError } from '../../platform/errors.ts';
import type { Policy } from '../page-server/contract.ts';
import { createPlaneClient, type PlaneClient } from './plane-client.ts';
import { printRows } from './rows.ts';

export const DEFAULT_SOCKET = '/run/offload-plane/plane.sock';
const MEBIBYTE = 1024 * 1024;

interface GlobalFlags {
  socket?: string;
  printJson?: boolean;
}

/** `[hostPort:]containerPort`, as Docker has it. */
function parsePort(value: string, before: { containerPort: number; hostPort?: number }[] = []) {
  const match = /^(?:(\d{1,5}):)?(\d{1,5})$/.exec(value);
  const [host, container] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  if (!match || container < 1 || container > 65_535 || host > 65_535) {
    throw new InvalidArgumentError('expected [hostPort:]containerPort, each up to 65535');
  }
  return [...before, { containerPort: container, hostPort: host }];
}

function parseCount(value: string): number {
  if (!/^\d{1,4}$/.test(value)) throw new InvalidArgumentError('expected a whole number');
  return Number(value);
}

const collect = (value: string, before: string[] = []) => [...before, value];

export function addPlaneCommands(program: Command): void {
  program
    .option('--socket <path>', `the plane's Unix socket (default: $OFFLOAD_SOCKET or ${DEFAULT_SOCKET})`)
    .option('--print-json', 'print answers of the plane as JSON');

  async function withPlane(work: (plane: PlaneClient) => Promise<unknown>): Promise<void> {
    const flags = program.opts<GlobalFlags>();
    const plane = createPlaneClient(flags.socket ?? process.env.OFFLOAD_SOCKET ?? DEFAULT_SOCKET);
    try {
      const answer = await work(plane);
      if (answer !== undefined) printAnswer(answer, flags.printJson === true);
    } finally {
      await plane.close();
    }
  }

  addContainerCommands(program, withPlane);
  addCheckpointCommands(program, withPlane);
  program
    .command('guests')
    .description('list the guests')
    .action(() =>
      withPlane(async (plane) =>
        (await plane.guests()).map(({ health, ...guest }) => ({
          ...guest,
          agent: health.agent,
          criu: health.criu,
        })),
      ),
    );
  program
    .command('images')
    .description('list the images')
    .action(() =>
      withPlane(async (plane) =>
        (await plane.images()).map(({ name, digest, createdAt, rootfsBytes }) => ({
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
    .action((path: string, flags: { name?: string; tag?: string }) =>
      withPlane((plane) => plane.importImage({ path: resolve(path), ...flags })),
    );
}

type WithPlane = (work: (plane: PlaneClient) => Promise<unknown>) => Promise<void>;

function addContainerCommands(program: Command, withPlane: WithPlane): void {
  program
    .command('ps')
    .description('list the containers')
    .action(() => withPlane((plane) => plane.containers()));
  program
    .command('run')
    .description('create and start a container')
    .argument('<image>')
    .argument('[command...]')
    .requiredOption('--name <name>')
    .requiredOption('--guest <guest>')
    .option('--tenant <tenant>', 'whose it is: checkpoints of one tenant share equal pages')
    .option('-p, --publish <port>', '[hostPort:]containerPort, repeatable', parsePort)
    .option('-e, --env <variable>', 'NAME=value, repeatable', collect)
    .action((image: string, command: string[], flags) =>
      withPlane(async (plane) => {
        const { name, guest, tenant, publish = [], env = [] } = flags;
        const wanted = {
          name,
          guest,
          image,
          ports: publish,
          env,
          ...(tenant === undefined ? {} : { tenant }),
          ...(command.length > 0 ? { command } : {}),
        };
        await plane.createContainer(wanted);
        return plane.startContainer(name);
      }),
    );
  program
    .command('kill')
    .description('send a signal to a container')
    .argument('<container>')
    .option('-s, --signal <signal>', 'which one', 'SIGTERM')
    .action((name: string, { signal }: { signal: string }) =>
      withPlane((plane) => plane.killContainer(name, signal)),
    );
  program
    .command('pause')
    .description('pause a running container')
    .argument('<container>')
    .action((name: string) => withPlane((plane) => plane.pauseContainer(name)));
  program
    .command('resume')
    .description('resume a paused container')
    .argument('<container>')
    .action((name: string) => withPlane((plane) => plane.resumeContainer(name)));
  program
    .command('rm')
    .description('end and delete a container')
    .argument('<container>')
    .action((name: string) => withPlane((plane) => plane.removeContainer(name)));
  program
    .command('logs')
    .description("a container's output so far")
    .argument('<container>')
    .action((name: string) =>
      withPlane(async (plane) => {
        process.stdout.write(await plane.containerLogs(name));
      }),
    );
  program
    .command('stats')
    .description("a container's cgroup figures")
    .argument('<container>')
    .action((name: string) => withPlane((plane) => plane.containerStats(name)));
}

function addCheckpointCommands(program: Command, withPlane: WithPlane): void {
  const policies: Policy[] = ['eager', 'lazy', 'ordered', 'prefill'];
  program
    .command('checkpoints')
    .description('list the checkpoints')
    .action(() => withPlane((plane) => plane.checkpoints()));
  program
    .command('checkpoint')
    .description('checkpoint a running container')
    .argument('<container>')
    .argument('<id>', 'name of the checkpoint')
    .option('--stop', 'end the container once the checkpoint is committed (default: it runs on)')
    .option('--parent <checkpoint>', 'its last one: only pages that have changed since are sent')
    .addOption(
      new Option('--pre-dump-rounds <count>', 'send pages so many times before it stands still').argParser(
        parseCount,
      ),
    )
    .action((container: string, id: string, flags) =>
      withPlane((plane) => {
        const { stop, parent, preDumpRounds } = flags;
        return plane.createCheckpoint({
          container,
          id,
          after: stop ? 'stop' : 'resume',
          ...(parent === undefined ? {} : { parent }),
          ...(preDumpRounds === undefined ? {} : { preDumpRounds }),
        });
      }),
    );
  program
    .command('pin')
    .description('keep a checkpoint: it is neither evicted nor removed')
    .argument('<checkpoint>')
    .action((id: string) => withPlane((plane) => plane.pinCheckpoint(id)));
  program
    .command('unpin')
    .description('let a checkpoint go when room is needed')
    .argument('<checkpoint>')
    .action((id: string) => withPlane((plane) => plane.unpinCheckpoint(id)));
  program
    .command('restore')
    .description('restore a checkpoint into a guest')
    .argument('<checkpoint>')
    .requiredOption('--name <name>', 'name of the new container')
    .requiredOption('--guest <guest>')
    .addOption(new Option('--policy <policy>', 'how memory comes').choices(policies))
    .option(
      '-p, --publish <port>',
      '[hostPort:]containerPort, repeatable (default: the ports it had)',
      parsePort,
    )
    .option('--record', 'record the order of first touches anew')
    .option('--hold', 'leave the container paused before its first instruction')
    .action((checkpoint: string, flags) =>
      withPlane((plane) => {
        const { name, guest, policy, publish, record, hold } = flags;
        return plane.restore({
          checkpoint,
          name,
          guest,
          policy,
          record,
          hold,
          ...(publish ? { ports: publish } : {}),
        });
      }),
    );
  program
    .command('restores')
    .description('list the restores')
    .action(() => withPlane((plane) => plane.restores()));
}

function printAnswer(answer: unknown, asJson: boolean): void {
  if (asJson) console.log(JSON.stringify(answer, null, 2));
  else if (Array.isArray(answer)) printRows(answer as Record<string, unknown>[]);
  else if (typeof answer === 'object' && answer !== null) printRows([answer as Record<string, unknown>]);
  else throw new OffloadError('internal', `print answer: unexpected ${typeof answer}`);
}
