/** A plane process of the native world, as whoever started it sees it. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { AnswerMessage, CallMessage, CallName, LeftSession, PlaneCalls } from './plane-protocol.ts';

const CALL_TIMEOUT_MS = 180_000;

export interface NativePlane {
  readonly pid: number;
  call<Name extends CallName>(name: Name, argument: PlaneCalls[Name][0]): Promise<PlaneCalls[Name][1]>;
  close(): Promise<void>;
}

export interface NativePlaneOptions {
  storeDirectory: string;
  /** Where pagers connect to. */
  pagerSocket: string;
  /** Opened again before pagers are taken. */
  left?: LeftSession[];
  /** Whose offload-plane is run: the root of a source tree. Default: this one. */
  sources?: string;
  execArgv?: string[];
}

export async function startNativePlane(options: NativePlaneOptions): Promise<NativePlane> {
  const { storeDirectory, pagerSocket, left = [], execArgv = [] } = options;
  const sources = options.sources ?? join(import.meta.dirname, '../..');
  const program = join(sources, 'testbed/native/plane-process.ts');
  const child = fork(program, [storeDirectory, pagerSocket, JSON.stringify(left)], { execArgv });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const expect = (sequence: number): Promise<unknown> => {
    const resolvers = Promise.withResolvers<unknown>();
    waiting.set(sequence, resolvers);
    return resolvers.promise;
  };
  child.on('message', (message: AnswerMessage) => {
    const resolvers = waiting.get(message.sequence);
    waiting.delete(message.sequence);
    if ('error' in message) resolvers?.reject(new OffloadError('internal', message.error.message));
    else resolvers?.resolve(message.answer);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void ended.then(() => {
    const gone = new OffloadError('internal', 'native plane: the process has ended');
    for (const resolvers of waiting.values()) resolvers.reject(gone);
  });
  let sequence = 0;
  const started = expect(0);
  await withDeadline(started, CALL_TIMEOUT_MS, 'native plane start');
  return {
    pid: child.pid!,
    async call(name, argument) {
      const message: CallMessage = { sequence: ++sequence, name, argument };
      const answer = expect(message.sequence);
      child.send(message);
      return (await withDeadline(answer, CALL_TIMEOUT_MS, `native plane ${name}`)) as never;
    },
    async close() {
      if (child.connected) child.disconnect();
      await withDeadline(ended, CALL_TIMEOUT_MS, 'native plane close').catch(() => child.kill('SIGKILL'));
    },
  };
}
