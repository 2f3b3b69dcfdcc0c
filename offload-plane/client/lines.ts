/** Answers with one JSON a line, as they come. */
import { createInterface } from 'node:readline';
import { OffloadError } from '../../platform/errors.ts';
import type { PlaneConnection, Query } from './connection.ts';

export async function* readLines<T>(
  plane: PlaneConnection,
  path: string,
  query: Query = {},
): AsyncGenerator<T> {
  const { body } = await plane.send({ method: 'GET', path, query });
  try {
    for await (const line of createInterface({ input: body, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line !== '') yield JSON.parse(line) as T;
    }
  } catch (error) {
    throw new OffloadError('internal', `GET ${path}: the plane broke off: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    body.destroy();
  }
}
