/** The CLI's verbs on a page store's directory. They need no plane; `ls` and `verify` do not mind one. */
import { type Command, InvalidArgumentError } from 'commander';
import { OffloadError } from '../../platform/errors.ts';
import { printRows } from './rows.ts';

interface Flags {
  store: string;
  json?: boolean;
}

function byteCount(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new InvalidArgumentError('expected a whole number of bytes');
  return Number(value);
}

function print(rows: object[], asJson: boolean | undefined): void {
  if (asJson) console.log(JSON.stringify(rows, null, 2));
  else printRows(rows as Record<string, unknown>[]);
}

export function addStoreCommands(program: Command): void {
  const store = program.command('store').description('look after a page store');
  const verb = (name: string, description: string) =>
    store
      .command(name)
      .description(description)
      .requiredOption('--store <directory>', 'directory of the page store')
      .option('--json', 'print JSON in place of a table');

  verb('ls', 'list the checkpoints, the one used last first').action(async (flags: Flags) => {
    const { inspectStore } = await import('../page-store/inspect.ts');
    print(await inspectStore(flags.store), flags.json);
  });

  verb('verify', 'read everything and compare it with its checksums')
    .argument('[checkpoint...]', 'only these')
    .action(async (only: string[], flags: Flags) => {
      const [{ checkpointIds }, { auditCheckpoint }] = await Promise.all([
        import('../page-store/inspect.ts'),
        import('../page-store/audit.ts'),
      ]);
      const ids = await checkpointIds(flags.store);
      for (const id of only) {
        if (!ids.includes(id)) throw new OffloadError('not_found', `page store verify: no checkpoint ${id}`);
      }
      const results = [];
      for (const id of only.length > 0 ? only : ids) results.push(await auditCheckpoint(flags.store, id));
      print(
        flags.json ? results : results.flatMap(({ damage, ...rest }) => toRows(rest, damage)),
        flags.json,
      );
      const damaged = results.filter(({ damage }) => damage.length > 0);
      if (damaged.length > 0) {
        const names = damaged.map(({ id }) => id).join(', ');
        throw new OffloadError('corrupt_page', `page store verify: damaged: ${names}`);
      }
    });

  verb('gc', 'remove half-written checkpoints, and evict down to a size')
    .option('--to-bytes <bytes>', 'evict what was not used for the longest time down to this', byteCount)
    .action(async (flags: Flags & { toBytes?: number }) => {
      const [{ checkpointIds }, { openPageStore }] = await Promise.all([
        import('../page-store/inspect.ts'),
        import('../page-store/store.ts'),
      ]);
      await checkpointIds(flags.store); // gc makes no store where there is none
      const opened = await openPageStore({ directory: flags.store });
      try {
        const evicted = flags.toBytes === undefined ? [] : await opened.evict(flags.toBytes);
        const { leftoversRemoved, usedBytes } = opened;
        print([{ leftoversRemoved, evicted, usedBytes }], flags.json);
        if (usedBytes > (flags.toBytes ?? Number.POSITIVE_INFINITY)) {
          throw new OffloadError(
            'no_space',
            `page store gc: ${usedBytes} bytes are left, more than ${flags.toBytes} bytes: the rest is pinned or shared`,
          );
        }
      } finally {
        await opened.close();
      }
    });
}

/** A table has one line for each damage. */
function toRows(checkpoint: object, damage: string[]): object[] {
  if (damage.length === 0) return [{ ...checkpoint, damage: undefined }];
  return damage.map((line) => ({ ...checkpoint, damage: line }));
}
