/** The header that names a request, of every call that changes something and is answered as JSON. */
import { Value } from 'typebox/value';
import { REQUEST_ID_HEADER, RequestId } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';

/** @throws {OffloadError} invalid_request for what is no id */
export function requestId(header: string | string[] | undefined, subject: string): string | undefined {
  if (header === undefined || Value.Check(RequestId, header)) return header;
  throw new OffloadError(
    'invalid_request',
    `${subject}: ${REQUEST_ID_HEADER} is not 1 to 64 of A-Z, a-z, 0-9, - and _`,
  );
}
