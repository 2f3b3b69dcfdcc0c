/** Bodies that are tars are read as they come, by whoever they are for. */
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { OffloadError } from '../../platform/errors.ts';

export const TAR_TYPE = 'application/x-tar';

/** @throws {OffloadError} invalid_request */
export function tarBody({ method, url, body }: FastifyRequest): Readable {
  if (typeof (body as { pipe?: unknown } | undefined)?.pipe === 'function') return body as Readable;
  throw new OffloadError('invalid_request', `${method} ${url}: the body has to be of type ${TAR_TYPE}`);
}
