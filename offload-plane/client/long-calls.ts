/** A long call for whoever watches: its progress as it comes, cancelled when the watcher leaves. */
import { ERROR_STATUS, type ErrorCode, OffloadError } from '../../platform/errors.ts';
import type { OperationEvent, OperationProgress, OperationView } from '../operations/operation.ts';
import { type PlaneConnection, part } from './connection.ts';
import { readLines } from './lines.ts';

export interface Watcher {
  onProgress(progress: OperationProgress, operation: OperationView): void;
  /** Aborted when the watcher leaves: the operation is cancelled, and its end awaited. */
  signal: AbortSignal;
}

export async function postWatched<T>(
  plane: PlaneConnection,
  path: string,
  body: object,
  watcher: Watcher,
): Promise<T> {
  const headers = { prefer: 'respond-async', 'content-type': 'application/json' };
  const answer = await plane.send({ method: 'POST', path, headers, body });
  if (answer.statusCode !== 202) return (await answer.body.json()) as T;
  const operation = (await answer.body.json()) as OperationView;
  const at = `/v1/operations/${part(operation.id)}`;
  const cancel = () => void plane.post(`${at}/cancel`).catch(() => {});
  watcher.signal.addEventListener('abort', cancel, { once: true });
  if (watcher.signal.aborted) cancel();
  try {
    for await (const { progress } of readLines<OperationEvent>(plane, `${at}/events`)) {
      watcher.onProgress(progress, operation);
    }
  } finally {
    watcher.signal.removeEventListener('abort', cancel);
  }
  return outcomeOf(await plane.get<OperationView>(at)) as T;
}

function outcomeOf({ id, phase, result, error }: OperationView): unknown {
  if (phase === 'succeeded') return result;
  const code = error?.code ?? '';
  const message = error?.message ?? `operation ${id}: it is ${phase}`;
  throw new OffloadError(Object.hasOwn(ERROR_STATUS, code) ? (code as ErrorCode) : 'internal', message);
}
