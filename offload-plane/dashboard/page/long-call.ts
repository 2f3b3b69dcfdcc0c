/** Calls that take long: the plane does them as operations, which are shown while they are under way. */
import type { OperationView } from '../../operations/operation.ts';
import { refresh } from './live.ts';
import { notify } from './notices.tsx';
import { call, Problem, part, RESPOND_ASYNC } from './plane.ts';

/** What is refused is mostly refused by the time the plane was asked so often: who asked sees it where he asked. */
const PATIENT_LOOKS = 4;
const INTERVAL_MS = 400;

interface LongCall<Result> {
  doing: string;
  path: string;
  body: object;
  /** What it came to, in words. Default: done. */
  describe?: (result: Result) => string;
}

/**
 * Resolves when it is done, or goes on and will be told of later.
 * @throws {Problem} when it was refused or failed at once
 */
export async function longCall<Result>({
  doing,
  path,
  body,
  describe = () => 'done',
}: LongCall<Result>): Promise<void> {
  const { id } = await call<OperationView>('POST', path, body, RESPOND_ASYNC);
  void refresh();
  const patience = Promise.withResolvers<void>();
  const outcome = ending(id, patience.resolve).then((operation) => {
    if (operation.error) throw new Problem(0, operation.error.message);
    notify(`${doing}: ${describe(operation.result as Result)}`);
  });
  let waits = true;
  outcome
    .catch((error: Error) => {
      if (!waits) notify(error.message, true);
    })
    .finally(() => void refresh());
  await Promise.race([outcome, patience.promise]);
  waits = false;
}

export async function cancel({ id, kind, subject }: OperationView): Promise<void> {
  await call('POST', `/v1/operations/${part(id)}/cancel`).catch((error: Problem) => {
    notify(`Cancel ${kind} ${subject}: ${error.message}`, true);
  });
  await refresh();
}

/** A plane that gives no answer for a while is asked again: the operation may go on. */
async function ending(id: string, whenLong: () => void): Promise<OperationView> {
  for (let looks = 0; ; looks += 1) {
    if (looks === PATIENT_LOOKS) whenLong();
    await pause(INTERVAL_MS);
    try {
      const operation = await call<OperationView>('GET', `/v1/operations/${part(id)}`);
      if (operation.phase !== 'running') return operation;
    } catch (error) {
      if ((error as Problem).status !== 0) throw error;
    }
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
