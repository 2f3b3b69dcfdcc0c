/**
 * The plane's database: one SQLite file beside the page store, whose lock guards it as well. What is written
 * is on the device before the call returns. A file that is not ours, damaged or newer is refused untouched.
 */
import { chmodSync, closeSync, openSync, readSync, statSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { OffloadError } from '../../platform/errors.ts';
import { APPLICATION_ID, MIGRATIONS } from './migrations.ts';

const MAGIC = 'SQLite format 3\0';
const HEADER_BYTES = 72;
const APPLICATION_ID_OFFSET = 68;
/** It has tokens that give out memory; SQLite's files beside it get the mode that it has. */
const MODE = 0o600;

export interface Database {
  /** Everything `work` writes is on the device when this returns, or none of it. They may be nested. */
  transaction<T>(work: () => T): T;
  /** Runs once what the surrounding transaction wrote is on the device; at once outside of one. */
  afterCommit(run: () => void): void;
  prepare(sql: string): StatementSync;
  close(): void;
}

/** @throws {OffloadError} unusable_state */
export function openDatabase(path: string): Database {
  expectOurs(path);
  const sqlite = refusing(path, () => {
    closeSync(openSync(path, 'a', MODE));
    const opened = new DatabaseSync(path);
    try {
      prepareFile(opened, path);
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  });
  let waiting: (() => void)[] | undefined;
  return {
    transaction<T>(work: () => T): T {
      if (waiting) return work();
      const pending: (() => void)[] = [];
      waiting = pending;
      sqlite.exec('BEGIN IMMEDIATE');
      let result: T;
      try {
        result = work();
        sqlite.exec('COMMIT');
      } catch (error) {
        if (sqlite.isTransaction) sqlite.exec('ROLLBACK');
        throw error;
      } finally {
        waiting = undefined;
      }
      for (const run of pending) run();
      return result;
    },
    afterCommit(run) {
      if (waiting) waiting.push(run);
      else run();
    },
    prepare: (sql) => sqlite.prepare(sql),
    close: () => sqlite.close(),
  };
}

/** Before SQLite has it: to open a file is to change it, where a transaction was cut off. */
function expectOurs(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  // A first start that was cut off may have left nothing but a journal; SQLite rolls it back.
  if (size === 0 || statSync(`${path}-journal`, { throwIfNoEntry: false })) return;
  const header = Buffer.alloc(HEADER_BYTES);
  const file = openSync(path, 'r');
  try {
    readSync(file, header, 0, HEADER_BYTES, 0);
  } finally {
    closeSync(file);
  }
  if (header.toString('latin1', 0, MAGIC.length) !== MAGIC) throw unusable(path, 'it is no SQLite database');
  if (header.readUInt32BE(APPLICATION_ID_OFFSET) !== APPLICATION_ID) {
    throw unusable(path, 'it is the database of another program');
  }
}

function prepareFile(sqlite: DatabaseSync, path: string): void {
  const problem = sqlite.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
  if (problem.quick_check !== 'ok') throw unusable(path, `it is damaged: ${problem.quick_check}`);
  const { user_version: version } = sqlite.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > MIGRATIONS.length) {
    throw unusable(path, `it has version ${version}, this program knows versions up to ${MIGRATIONS.length}`);
  }
  // The first schema is written before the log, so that the file's own header says whose it is.
  if (version > 0) useLog(sqlite);
  sqlite.exec('PRAGMA synchronous = FULL');
  for (const [index, statements] of MIGRATIONS.entries()) {
    if (index >= version) migrate(sqlite, statements, index + 1);
  }
  chmodSync(path, MODE);
  useLog(sqlite);
}

const useLog = (sqlite: DatabaseSync): void => sqlite.exec('PRAGMA journal_mode = WAL');

function migrate(sqlite: DatabaseSync, statements: string, version: number): void {
  sqlite.exec(
    `BEGIN IMMEDIATE; ${statements}; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version}; COMMIT`,
  );
}

/** SQLite's own complaints, as the refusal they are. */
function refusing<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof OffloadError) throw error;
    throw unusable(path, (error as Error).message);
  }
}

function unusable(path: string, reason: string): OffloadError {
  return new OffloadError('unusable_state', `open database ${path}: ${reason}; it was left as it is`);
}
