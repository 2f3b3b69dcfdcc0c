/** Answers that come bit by bit: as bytes, or with one JSON a line. */
import { OffloadError } from '../../platform/errors.ts';
import type { PlaneConnection, Sent } from './connection.ts';

/** Ends with the answer, or when the client is closed. */
export async function* readChunks(plane: PlaneConnection, sent: Sent): AsyncGenerator<Buffer> {
  const { body } = await plane.send(sent);
  try {
    yield* body as AsyncIterable<Buffer>;
  } catch (error) {
    if (plane.closed) return;
    const { method, path } = sent;
    throw new OffloadError(
      'internal',
      `${method} ${path}: the plane broke off: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  } finally {
    // Whoever stops in the middle wants to hear no more, and no error of that.
    body.on('error', () => undefined).destroy();
  }
}

export async function* readLines<T>(
  plane: PlaneConnection,
  path: string,
  query: Sent['query'] = {},
): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of readChunks(plane, { method: 'GET', path, query })) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield JSON.parse(line) as T;
  }
  if (rest !== '' && !plane.closed) yield JSON.parse(rest) as T;
}
