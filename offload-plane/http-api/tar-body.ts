/** Bodies that are tars are read as they come, by whoever they are for. */
import { finished, type Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { OffloadError } from '../../platform/errors.ts';

export const TAR_TYPE = 'application/x-tar';

/** When the last byte of it is here, or no more will come. */
export function receivedOf(body: Readable): Promise<void> {
  return new Promise((resolve) => finished(body, { writable: false }, () => resolve()));
}

/** How long it is, where the client has said so. */
export function lengthOf({ headers }: FastifyRequest): number | undefined {
  const length = headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

/** @throws {OffloadError} invalid_request */
export function tarBody({ method, url, body }: FastifyRequest): Readable {
  if (typeof (body as { pipe?: unknown } | undefined)?.pipe === 'function') return body as Readable;
  throw new OffloadError('invalid_request', `${method} ${url}: the body has to be of type ${TAR_TYPE}`);
}
