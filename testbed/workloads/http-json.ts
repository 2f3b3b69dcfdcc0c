/** One HTTP request over a connection of its own, answered in JSON. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { OffloadError } from '../../platform/errors.ts';
import type { Endpoint } from './workload.ts';

const BODY_BYTES_MAX = 64 * 1024;

export interface JsonAnswer {
  status: number;
  body: Record<string, unknown>;
  bodyBytes: number;
  connectMs: number;
  /** When the whole body was there and parsed, on the clock of `performance.now()`. */
  answeredAtMs: number;
}

/**
 * Returns after the server has closed the connection, so that nothing of it is left there.
 * @throws {OffloadError} deadline_exceeded, or runtime_failed when there is no answer or it is not JSON
 */
export async function getJson(endpoint: Endpoint, path: string, deadlineMs: number): Promise<JsonAnswer> {
  const subject = `GET ${path} at ${endpoint.host}:${endpoint.port}`;
  const startMs = performance.now();
  let connectMs = 0;
  const call = request({ ...endpoint, path, agent: false, headers: { connection: 'close' } });
  const late = new OffloadError('deadline_exceeded', `${subject}: no answer within ${deadlineMs} ms`);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    call.destroy(late);
  }, deadlineMs);
  call.on('error', () => {}); // told below; once the response has begun, by a body that breaks off
  call.on('socket', (socket) => {
    socket.once('connect', () => {
      connectMs = performance.now() - startMs;
    });
  });
  try {
    const closed = new Promise<void>((resolve) => call.once('close', () => resolve()));
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    let bodyBytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bodyBytes += chunk.length;
      if (bodyBytes > BODY_BYTES_MAX) throw new Error(`a body of more than ${BODY_BYTES_MAX} bytes`);
      chunks.push(chunk);
    }
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof body !== 'object' || body === null) throw new Error('the body is no JSON object');
    const answeredAtMs = performance.now();
    await closed;
    return {
      status: response.statusCode ?? 0,
      body: body as Record<string, unknown>,
      bodyBytes,
      connectMs,
      answeredAtMs,
    };
  } catch (error) {
    if (isLate) throw late;
    throw new OffloadError('runtime_failed', `${subject}: ${(error as Error).message}`, { cause: error });
  } finally {
    clearTimeout(timer);
    call.destroy();
  }
}
