/** PostgreSQL as a native workload: several processes that share memory, and a table some of whose rows are asked for. */
import { createHash } from 'node:crypto';
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';
import { DEBIAN_ENV, debianPrograms } from './debian-programs.ts';
import type { NativeWorkload } from './workload.ts';

const BIN = 'usr/lib/postgresql/17/bin';
/** Each row has so many MD5 sums as text. */
const SUMS_A_ROW = 32;
const ROW_BYTES = 32 * SUMS_A_ROW;
const ASKED_COUNT = 2_000;
/** Prime: the rows asked for are spread over the table. */
const STRIDE = 7919;
const WARM_ROUND_COUNT = 3;
/** It does not run as root. */
const NOBODY = 65_534;
const AS_NOBODY = `setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups`;
/** An IPC namespace of its own: it takes a System V segment, to see whether another server has its files. */
const START = `unshare --ipc ${AS_NOBODY}`;
/** All files it needs are in its directory, and nothing writes to them after the data has been loaded. */
const OPTIONS = [
  'listen_addresses=',
  'unix_socket_directories=/run/state',
  'shared_memory_type=mmap',
  'dynamic_shared_memory_type=mmap',
  'fsync=off',
  'wal_level=minimal',
  'max_wal_senders=0',
  'autovacuum=off',
  'checkpoint_timeout=1d',
  'jit=off',
  'max_parallel_workers_per_gather=0',
];

export async function postgres(dataMiB: number): Promise<NativeWorkload> {
  const debian = await debianPrograms(`${BIN}/postgres`);
  const rowCount = (dataMiB * MIB) / ROW_BYTES;
  const askedCount = Math.min(ASKED_COUNT, rowCount);
  const expected = md5(
    Array.from({ length: askedCount }, (_, step) => rowText((step * STRIDE) % rowCount)).join(''),
  );
  const options = [...OPTIONS, `shared_buffers=${dataMiB + 64}MB`].map((option) => `-c ${option}`).join(' ');
  const program = (name: string) => `${DEBIAN_ENV} /run/debian/${BIN}/${name}`;
  return {
    name: `postgres-${dataMiB}`,
    programs: [],
    mounts: { debian },
    hasState: true,
    userId: NOBODY,
    setup: `${AS_NOBODY} ${program('initdb')} -D /run/state/data -U postgres -A trust -N`,
    command: `${START} ${program('postgres')} -D /run/state/data ${options}`,
    async load({ run }) {
      const sql = [
        'drop table if exists records',
        'create table records (id int primary key, body text)',
        `insert into records select i, (select string_agg(md5(i || '-' || j), '' order by j) from generate_series(1, ${SUMS_A_ROW}) j) from generate_series(0, ${rowCount - 1}) i`,
        'vacuum (freeze, analyze) records',
        'checkpoint',
      ].map((statement) => `-c "${statement}"`);
      const exitCode = await run(`${program('psql')} -h /run/state -U postgres -q ${sql.join(' ')}`);
      if (exitCode !== 0)
        throw new OffloadError('runtime_failed', `postgres: loading ended with ${exitCode}`);
    },
    warmRoundCount: WARM_ROUND_COUNT,
    address: (directory) => `unix:${directory}/state/.s.PGSQL.5432`,
    request: askedAtOnce(
      `select md5(string_agg(body, '' order by step)) from generate_series(0, ${askedCount - 1}) step join records on id = (step * ${STRIDE}) % ${rowCount}`,
    ),
    verify(answer) {
      if (answer.includes(expected)) return;
      throw new OffloadError(
        'digest_mismatch',
        `postgres: ${JSON.stringify(answer.toString('latin1', 0, 300))}`,
      );
    },
  };
}

const md5 = (text: string) => createHash('md5').update(text, 'latin1').digest('hex');

function rowText(id: number): string {
  return Array.from({ length: SUMS_A_ROW }, (_, j) => md5(`${id}-${j + 1}`)).join('');
}

/** A whole conversation in PostgreSQL's protocol, none of which waits for an answer: start, one query, end. */
function askedAtOnce(query: string): Buffer {
  const start = Buffer.from('user\0postgres\0database\0postgres\0\0');
  const version = Buffer.from([0, 3, 0, 0]);
  return Buffer.concat([
    withLength(Buffer.concat([version, start])),
    Buffer.from('Q'),
    withLength(Buffer.from(`${query}\0`)),
    Buffer.from('X'),
    withLength(Buffer.alloc(0)),
  ]);
}

function withLength(content: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length + 4);
  return Buffer.concat([length, content]);
}
