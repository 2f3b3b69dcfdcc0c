/**
 * The pager of one restore, as a process: started, waited for, ended. The process is its supervisor, which starts
 * a successor when the pager itself is killed and ends the container when that is not possible.
 */

import { join } from 'node:path';
import { execa } from 'execa';
import { PAGE_PORT } from '../interconnect/page-protocol.ts';
import { withDeadline } from '../platform/deadline.ts';
import { OffloadError } from '../platform/errors.ts';

/** The supervisor takes a pager for stuck after 4 s, and kills it and the container. */
const STOP_TIMEOUT_MS = 8_000;

export interface PagerOptions {
  programDirectory: string;
  tokenFile: string;
  /** Where CRIU looks for lazy-pages.socket: its work directory. */
  workDirectory: string;
  imagesDirectory: string;
  cgroup: string;
  deadlineMs: number;
  onEnd: (failure: string | undefined) => void;
}

export interface PagerProcess {
  /** Resolves once pages for CRIU itself are in the images directory and the socket listens. */
  ready: Promise<void>;
  stop(): Promise<void>;
}

export function startPager(options: PagerOptions): PagerProcess {
  const child = execa(
    join(options.programDirectory, 'offload-pager'),
    [
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
    ],
    {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      reject: false,
      maxBuffer: 65_536,
      buffer: { stdout: false },
    },
  );
  const ended = child.then((result) => {
    const failure = result.failed
      ? (result.stderr || result.shortMessage || 'no reason given').trim()
      : undefined;
    options.onEnd(failure?.slice(-400));
    return failure;
  });
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
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
    ready: readyInTime,
    async stop() {
      child.kill('SIGTERM');
      await withDeadline(ended, STOP_TIMEOUT_MS, 'stop pager').catch(() => child.kill('SIGKILL'));
    },
  };
}
