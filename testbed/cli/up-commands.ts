/** `offload up`, `down`, `status` and `dashboard`: a plane and its guests on this machine. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { OffloadError } from '../../platform/errors.ts';
import { type UpRecord, upPlaces, whatIsUp } from '../up/record.ts';
import { accelerator, positiveInteger, upToTwentySix } from './values.ts';

const DEFAULT_PORT = 8600;

export function addUpCommands(program: Command): void {
  program
    .command('up')
    .description('boot guests and start a plane in the background')
    .option('--guests <count>', 'how many, up to 26', upToTwentySix, 2)
    .option('--memory-mib <mebibytes>', 'memory of each guest', positiveInteger, 2_048)
    .option('--vcpus <count>', 'virtual CPUs of each guest', positiveInteger, 2)
    .option('--accelerator <name>', 'kvm or tcg (default: what a trial boot finds)', accelerator)
    .option(
      '--store <directory>',
      "stands for the plane's NVMe device (default: below the cache; it stays when all is down)",
    )
    .option('--port <port>', 'of the dashboard and the API on 127.0.0.1', positiveInteger, DEFAULT_PORT)
    .option('--demo-images', 'build and import the images redis and node, from Debian packages')
    .option('--json', 'print what is up as JSON')
    .action(up);
  program
    .command('down')
    .description('end the plane and the guests of `offload up`; images and checkpoints stay')
    .option('--purge', 'remove images, volumes and checkpoints as well')
    .action(down);
  program
    .command('status')
    .description('what `offload up` has brought up')
    .option('--json', 'print it as JSON')
    .action(({ json }: { json?: boolean }) => {
      const record = expectUp();
      console.log(json ? JSON.stringify(record, null, 2) : statusLines(record).join('\n'));
    });
  program
    .command('dashboard')
    .description('the address of the dashboard, with the token that opens it')
    .action(() => console.log(dashboardUrl(expectUp())));
}

interface UpFlags {
  guests: number;
  memoryMib: number;
  vcpus: number;
  accelerator?: 'kvm' | 'tcg';
  store?: string;
  port: number;
  demoImages?: boolean;
  json?: boolean;
}

async function up(flags: UpFlags): Promise<void> {
  const {
    guests: guestCount,
    memoryMib: memoryMiB,
    vcpus,
    accelerator,
    store,
    port,
    demoImages,
    json,
  } = flags;
  const [{ Listr }, { bringUp, defaultStoreDirectory }] = await Promise.all([
    import('listr2'),
    import('../up/up.ts'),
  ]);
  const places = upPlaces();
  const before = whatIsUp(places);
  const giveUp = new AbortController();
  process.once('SIGINT', () => giveUp.abort());
  process.once('SIGTERM', () => giveUp.abort());
  const tasks = new Listr<{ record?: UpRecord }>(
    [
      {
        title: before?.phase === 'ready' ? 'It is up already' : 'Boot guests and start the plane',
        task: async (context, task) => {
          context.record = await bringUp(
            {
              ...{ guestCount, memoryMiB, vcpus, port },
              storeDirectory: store === undefined ? defaultStoreDirectory() : resolve(store),
              ...(accelerator ? { accelerator } : {}),
            },
            places,
            {
              signal: giveUp.signal,
              onProgress(text) {
                if (task.output !== text) task.output = text;
              },
            },
          );
        },
      },
      {
        title: 'Build and import the images redis and node',
        enabled: demoImages === true,
        task: async ({ record }, task) => {
          if (record) await importDemoImages(record, (text) => (task.output = text));
        },
      },
    ],
    {
      registerSignalListeners: false,
      fallbackRenderer: 'simple',
      silentRendererCondition: json === true,
    },
  );
  const { record } = await tasks.run({});
  if (!record) throw new OffloadError('internal', 'up: it ended without a word');
  console.log(json ? JSON.stringify(record, null, 2) : nextSteps(record).join('\n'));
}

async function importDemoImages({ socketPath }: UpRecord, onProgress: (text: string) => void): Promise<void> {
  const [{ buildDemoImages }, { createPlaneClient }] = await Promise.all([
    import('../images/build-demo-images.ts'),
    import('../../offload-plane/client/index.ts'),
  ]);
  const layouts = await buildDemoImages({ onProgress: ({ message }) => onProgress(message) });
  const client = createPlaneClient({ socketPath });
  try {
    const known = new Set((await client.images.list()).flatMap(({ names }) => names));
    for (const [name, path] of Object.entries(layouts)) {
      if (known.has(name)) continue;
      onProgress(`importing ${name}`);
      await client.images.import({ path, name });
    }
  } finally {
    await client.close();
  }
}

async function down({ purge }: { purge?: boolean }): Promise<void> {
  const { defaultStoreDirectory, takeDown } = await import('../up/up.ts');
  const places = upPlaces();
  const record = whatIsUp(places);
  const wasUp = await takeDown(places);
  console.log(wasUp ? 'The plane and its guests are down.' : 'Nothing was up.');
  if (!purge) return;
  const store = record?.options.storeDirectory ?? defaultStoreDirectory();
  if (store !== defaultStoreDirectory()) {
    throw new OffloadError(
      'invalid_request',
      `down --purge: ${store} was given with --store: remove it by hand`,
    );
  }
  if (!existsSync(store)) return;
  rmSync(store, { recursive: true });
  console.log(`Removed ${store}.`);
}

function expectUp(): UpRecord {
  const record = whatIsUp(upPlaces());
  if (!record) throw new OffloadError('not_found', 'nothing is up: bring it up with `offload up`');
  return record;
}

function dashboardUrl({ url, tokenPath }: UpRecord): string {
  if (url === undefined) throw new OffloadError('invalid_state', 'dashboard: the plane is not there yet');
  return `${url}/#token=${readFileSync(tokenPath, 'utf8').trim()}`;
}

function statusLines(record: UpRecord): string[] {
  const { phase, text, planePid, planeRestartCount, socketPath, url, options, guests, planeLogPath } = record;
  const restarts = planeRestartCount === 0 ? '' : `, started again ${planeRestartCount} times`;
  const row = (name: string, value: string | undefined) => `${name.padEnd(10)}${value ?? '-'}`;
  return [
    row('state', text ? `${phase}: ${text}` : phase),
    row('since', record.startedAt),
    row('plane', planePid === undefined ? undefined : `pid ${planePid}${restarts}`),
    row('socket', socketPath),
    row('address', url),
    row('store', options.storeDirectory),
    row('log', planeLogPath),
    ...guests.map(({ name, pid, accelerator, memoryMiB, vcpus, running }) =>
      row(name, running ? `pid ${pid}, ${accelerator}, ${memoryMiB} MiB, ${vcpus} CPUs` : 'ended'),
    ),
  ];
}

function nextSteps(record: UpRecord): string[] {
  const names = record.guests.map(({ name }) => name).join(', ');
  return [
    `Guests ${names} and the plane are up.`,
    '',
    '  offload pull IMAGE                  fetch an image; offload import DIRECTORY takes one that is here',
    '  offload run -d --name cache IMAGE   run it in the guest with the most free memory',
    '  offload ps, logs, exec, stats, top  look after it',
    '  offload checkpoint cache warm       save it with its memory',
    '  offload restore warm --name again   bring it back, in any guest',
    '  offload status, offload down        what is up; end it all',
    '',
    `Dashboard: ${dashboardUrl(record)}`,
  ];
}
