/** A plane's database and journal of a test's own. */
import { join } from 'node:path';
import { openJournal } from '../../offload-plane/journal/journal.ts';
import { openDatabase } from '../../offload-plane/state/database.ts';
import { tempDirectory } from './temp-directory.ts';

export function openState(path = join(tempDirectory('state'), 'plane.db')) {
  const database = openDatabase(path);
  return { path, database, journal: openJournal(database, () => Date.now()) };
}
export type State = ReturnType<typeof openState>;
