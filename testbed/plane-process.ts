/** A plane in a process of its own, and the wait until it answers. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createPlaneClient, type PlaneClient } from '../offload-plane/client/index.ts';
import { pollUntil } from '../platform/deadline.ts';
import { OffloadError } from '../platform/errors.ts';
import { describeEnd, lastLines, type RunningProcess } from '../platform/processes.ts';
import { projectDirectory } from './qemu/prepare.ts';
import type { RunDirectory } from './qemu/run-directory.ts';

export interface PlaneOptions {
  run: RunDirectory;
  socketPath: string;
  storeDirectory: string;
  logPath: string;
  /** More flags. */
  args?: readonly string[];
}

export interface PlaneProcess {
  client: PlaneClient;
  process: RunningProcess;
}

const START_TIMEOUT_MS = 120_000;

/** Whatever fails, the process is gone. */
export async function startPlaneProcess(options: PlaneOptions): Promise<PlaneProcess> {
  const { run, socketPath, storeDirectory, logPath, args = [] } = options;
  const main = join(projectDirectory, 'offload-plane/main.ts');
  const flags = ['--socket', socketPath, '--store', storeDirectory, ...args];
  const child = run.startChild('plane', process.execPath, [main, ...flags], { logPath });
  let end: string | undefined;
  void child.exited.then((how) => {
    end = describeEnd(how);
  });
  const client = createPlaneClient({ socketPath });
  try {
    await pollUntil(
      async () => {
        if (end) return true;
        return existsSync(socketPath) ? client.guests.list().then(() => true) : undefined;
      },
      { timeoutMs: START_TIMEOUT_MS, intervalMs: 10, what: 'start plane' },
    );
    if (end) {
      const lastWords = lastLines(readFileSync(logPath, 'utf8'), 3);
      throw new OffloadError('internal', `start plane: ${end}: ${lastWords}`);
    }
    return { client, process: child };
  } catch (error) {
    child.kill('SIGKILL');
    await client.close();
    throw error;
  }
}
