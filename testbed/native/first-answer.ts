/** The client that waits for a restored program: it is there before the program, and takes the time. */
import { execa } from 'execa';
import { OffloadError } from '../../platform/errors.ts';
import { FIRST_ANSWER } from './programs.ts';
import type { NativeWorkload } from './workload.ts';

const DEADLINE_MS = 60_000;

export const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

export interface FirstAnswer {
  /** The client tries to connect from now on. */
  waiting: Promise<void>;
  /** When the last byte of a verified answer had come, in CLOCK_MONOTONIC. */
  answeredAtMs: Promise<number>;
}

export function askFirst(workload: NativeWorkload, directory: string): FirstAnswer {
  const client = execa(FIRST_ANSWER, [workload.address(directory), String(DEADLINE_MS)], {
    input: workload.request,
    encoding: 'buffer',
    stripFinalNewline: false, // an answer may end with one
    reject: false,
    timeout: DEADLINE_MS + 1_000,
    killSignal: 'SIGKILL',
  });
  const waiting = new Promise<void>((resolve) => {
    client.stdout.once('data', () => resolve());
    client.stdout.once('close', () => resolve());
  });
  const answered = client.then(({ exitCode, stdout }) => {
    const output = Buffer.from(stdout);
    const endOfTimes = output.indexOf('\n', output.indexOf('\n') + 1);
    if (exitCode !== 0 || endOfTimes < 0) {
      throw new OffloadError('deadline_exceeded', `${workload.name}: no answer within ${DEADLINE_MS} ms`);
    }
    workload.verify(output.subarray(endOfTimes + 1));
    return Number(output.toString('latin1', output.indexOf('\n') + 1, endOfTimes).split(' ')[0]) / 1e6;
  });
  answered.catch(() => {});
  return { waiting, answeredAtMs: answered };
}
