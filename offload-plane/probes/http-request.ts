/** One HTTP request into a container, over a connection of its own. */
import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { OffloadError } from '../../platform/errors.ts';

export interface HttpRequest {
  method: string;
  path: string;
  body?: string | undefined;
}

/** Of an answer that is only there to have been given. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Answers the status once the whole answer has arrived. @throws {Error} what became of it instead */
export function requestOver(connection: Duplex, { method, path, body }: HttpRequest, timeoutMs: number) {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const timer = setTimeout(() => {
    connection.destroy(new OffloadError('deadline_exceeded', `no answer within ${timeoutMs} ms`));
  }, timeoutMs);
  const call = request({
    method,
    path,
    headers: { host: 'localhost', connection: 'close' },
    createConnection: () => connection,
  });
  call.once('error', reject);
  connection.once('error', reject);
  call.once('response', (response) => {
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) connection.destroy(new Error(`more than ${MAX_ANSWER_BYTES} bytes`));
    });
    response.once('end', () => resolve(response.statusCode ?? 0));
    response.once('error', reject);
    response.once('close', () => reject(new Error('the answer broke off')));
  });
  call.end(body);
  return promise.finally(() => {
    clearTimeout(timer);
    connection.destroy();
  });
}
