/** A long call for whoever watches: its progress as it comes, cancelled when the watcher leaves. */
import { Readable } from 'node:stream';
import { ERROR_STATUS, type ErrorCode, OffloadError } from '../../platform/errors.ts';
import type { OperationEvent, OperationProgress, OperationView } from '../operations/operation.ts';
import { type PlaneConnection, part, type Sent } from './connection.ts';
import { readLines } from './lines.ts';
import { meter } from './upload.ts';

/** What it is that makes progress. */
export type Watched = Pick<OperationView, 'kind' | 'subject'>;

export interface Watcher {
  onProgress(progress: OperationProgress, what: Watched): void;
  /** Aborted when the watcher leaves: the operation is cancelled, and its end awaited. */
  signal: AbortSignal;
}

export type LongCall = Pick<Sent, 'path' | 'query' | 'headers'> & {
  /** A tar goes as it comes. */
  body: object | Readable;
  /** For what is told while the body is on its way. */
  upload?: Watched & { totalBytes?: number | undefined };
};

export async function postWatched<T>(plane: PlaneConnection, call: LongCall, watcher: Watcher): Promise<T> {
  const answer = await sendWatched(plane, call, watcher);
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

/** While a body is on its way there is no operation to cancel yet: then the request itself is cut off. */
async function sendWatched(plane: PlaneConnection, call: LongCall, { onProgress, signal }: Watcher) {
  const { path, query, headers, body, upload } = call;
  const sent = { method: 'POST', path, query, headers: { ...headers, prefer: 'respond-async' } } as const;
  if (!(body instanceof Readable) || upload === undefined) return await plane.send({ ...sent, body });
  const counted = meter('sending', upload.totalBytes, (progress) => onProgress(progress, upload));
  body.once('error', (error) => counted.destroy(error));
  counted.once('close', () => body.destroy());
  try {
    return await plane.send({ ...sent, body: body.pipe(counted), signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    const { kind, subject } = upload;
    throw new OffloadError('cancelled', `${kind} ${subject}: it was cancelled`, { cause: error });
  }
}

function outcomeOf({ id, phase, result, error }: OperationView): unknown {
  if (phase === 'succeeded') return result;
  const code = error?.code ?? '';
  const message = error?.message ?? `operation ${id}: it is ${phase}`;
  throw new OffloadError(Object.hasOwn(ERROR_STATUS, code) ? (code as ErrorCode) : 'internal', message);
}
