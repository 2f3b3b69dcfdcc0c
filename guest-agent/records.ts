/**
 * What an agent that is started again has to know of each container, as one file a container on /run. It is
 * written whole and renamed before anybody is told, so it is never behind what was answered.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerSpec } from '../interconnect/agent-api.ts';
import type { Life } from './life.ts';
import type { ProcessName } from './process-name.ts';

export interface ContainerRecord {
  spec: ContainerSpec;
  life: Life;
  /** It is to go, with all that it has. */
  removing?: boolean;
  /** The supervisor of its restore's pager, unless all pages are in place. */
  pager?: ProcessName;
  /** The dump since which its changes are tracked; the vDSO's address by pid, in hexadecimal. */
  trackedDump?: { token: string; programs: [pid: string, vdso: string][] };
}

const SUFFIX = '.json';

export function createRecords(runDirectory: string) {
  const directory = join(runDirectory, 'records');
  mkdirSync(directory, { recursive: true });
  const pathOf = (id: string) => join(directory, `${id}${SUFFIX}`);
  return {
    /** At once, so that files and memory change in the same order. */
    write(record: ContainerRecord): void {
      const path = pathOf(record.spec.id);
      writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
    remove(id: string): void {
      rmSync(pathOf(id), { force: true });
    },
    /** In the order of their ids. */
    readAll(): ContainerRecord[] {
      const names = readdirSync(directory).sort();
      return names
        .filter((name) => name.endsWith(SUFFIX))
        .map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as ContainerRecord);
    },
  };
}
export type Records = ReturnType<typeof createRecords>;
