/**
 * A long call is an operation. It is answered when it is done, or, with `Prefer: respond-async` (RFC 7240),
 * at once with the operation to ask about.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OperationView } from '../operations/operation.ts';
import type { OperationContext, OperationRequest, Operations } from '../operations/operations.ts';

interface LongCall {
  request: FastifyRequest;
  reply: FastifyReply;
  status?: number;
  received?: Promise<void> | undefined;
}

/**
 * @param status of the answer when it is done
 * @param received when the body is here: who is still sending it would take an answer for the end
 */
export async function answerLongCall<T>(
  operations: Operations,
  { request, reply, status = 201, received }: LongCall,
  what: OperationRequest,
  work: (context: OperationContext) => Promise<T>,
): Promise<T | OperationView> {
  const { operation, done } = operations.start(what, work);
  const location = `/v1/operations/${operation.id}`;
  if (wantsOperation(request)) {
    await Promise.race([received, done.catch(() => undefined)]);
    reply.code(202).headers({ location, 'preference-applied': 'respond-async' });
    return operation;
  }
  const result = await done;
  reply.code(status).header('operation-location', location);
  return result;
}

const wantsOperation = ({ headers }: FastifyRequest): boolean =>
  String(headers.prefer ?? '')
    .split(',')
    .some((preference) => preference.trim().toLowerCase() === 'respond-async');
