/**
 * The pager of one restore, as a process: started, waited for, ended. The process is its supervisor, which starts
 * a successor when the pager itself is killed and ends the container when that is not possible.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PAGE_PORT } from '../interconnect/page-protocol.ts';
import { withDeadline } from '../platform/deadline.ts';
import { OffloadError } from '../platform/errors.ts';
import { isAlive, type ProcessName, processNamed, sendSignal } from './process-name.ts';

/** How the last line of a pager that has brought every page begins. */
const DONE = 'done installed=';
const MAX_WORDS_LENGTH = 400;
/** Nothing wakes the agent when a process ends that is not its child. */
const LOOK_INTERVAL_MS = 100;
/** The supervisor takes a pager for stuck after 4 s, and kills it and the container. */
const STOP_TIMEOUT_MS = 8_000;

export interface PagerOptions {
  programDirectory: string;
  tokenFile: string;
  /** Where CRIU looks for lazy-pages.socket: its work directory. */
  workDirectory: string;
  imagesDirectory: string;
  /** What it says, in a file: it outlives the agent, and a pipe would not. */
  log: string;
  cgroup: string;
  deadlineMs: number;
  onEnd: (failure: string | undefined) => void;
}

export interface PagerProcess {
  /** Undefined when it could not be started. */
  process: ProcessName | undefined;
  /** Resolves once pages for CRIU itself are in the images directory and the socket listens. */
  ready: Promise<void>;
  stop(): Promise<void>;
}

export function startPager(options: PagerOptions): PagerProcess {
  const log = openSync(options.log, 'w');
  const child = spawn(join(options.programDirectory, 'offload-pager'), pagerArgs(options), {
    stdio: ['ignore', 'pipe', log],
  });
  closeSync(log);
  const ended = endOf(child).then(async (end) => {
    const failure = end === undefined ? undefined : (await lastWords(options.log)) || end;
    options.onEnd(failure);
    return failure;
  });
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      if (chunk.includes('ready')) resolve();
    });
    void ended.then((failure) => {
      if (failure !== undefined) reject(new OffloadError('runtime_failed', `pager: ${failure}`));
      else resolve();
    });
  });
  const readyInTime = withDeadline(ready, options.deadlineMs, 'start pager');
  // Whoever waits for it may come later.
  readyInTime.catch(() => undefined);
  return {
    process: child.pid === undefined ? undefined : processNamed(child.pid),
    ready: readyInTime,
    async stop() {
      child.kill('SIGTERM');
      await withDeadline(ended, STOP_TIMEOUT_MS, 'stop pager').catch(() => child.kill('SIGKILL'));
    },
  };
}

/** The pager that an earlier agent has started. Its exit code is nobody's: whether it failed, its last line tells. */
export function adoptPager(
  process: ProcessName,
  { log, onEnd }: Pick<PagerOptions, 'log' | 'onEnd'>,
): PagerProcess {
  const ended = (async () => {
    while (isAlive(process)) await sleep(LOOK_INTERVAL_MS);
    const said = await lastWords(log);
    onEnd(said.includes(DONE) ? undefined : said || 'it ended without a word');
  })();
  return {
    process,
    ready: Promise.resolve(),
    async stop() {
      sendSignal(process, 'SIGTERM');
      await withDeadline(ended, STOP_TIMEOUT_MS, 'stop pager').catch(() => sendSignal(process, 'SIGKILL'));
    },
  };
}

/** Undefined: it has done its work. */
function endOf(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : signal ? `ended by ${signal}` : `ended with exit code ${code}`),
    );
  });
}

function pagerArgs(options: PagerOptions): string[] {
  return [
    '--connect',
    `vsock:2:${PAGE_PORT}`,
    '--token-file',
    options.tokenFile,
    '--work-dir',
    options.workDirectory,
    '--images-dir',
    options.imagesDirectory,
    '--container-cgroup',
    options.cgroup,
    '--deadline-ms',
    String(options.deadlineMs),
  ];
}

async function lastWords(log: string): Promise<string> {
  const said = await readFile(log, 'utf8').catch(() => '');
  return said.trim().slice(-MAX_WORDS_LENGTH);
}
