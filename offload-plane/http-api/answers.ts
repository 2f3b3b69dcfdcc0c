/** Answers as JSON; on request each is compared with the schema of its route, as tests want it. */
import type { FastifySchema } from 'fastify';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { OffloadError } from '../../platform/errors.ts';

interface RouteOfAnswer {
  schema: FastifySchema | TSchema;
  method: string;
  url: string;
  httpStatus?: string;
}

export const asJson = () => (answer: unknown) => JSON.stringify(answer);

/** @throws {OffloadError} internal when an answer does not fit, so that no schema promises what is not so */
export function asCheckedJson({ schema, method, url, httpStatus }: RouteOfAnswer) {
  return (answer: unknown): string => {
    const text = JSON.stringify(answer);
    const errors = Value.Errors(schema as TSchema, JSON.parse(text));
    if (errors.length > 0) {
      const where = errors.map((error) => `${error.instancePath} ${error.message}`).join('; ');
      throw new OffloadError(
        'internal',
        `${method} ${url}: the answer of status ${httpStatus} is not as its schema says: ${where}`,
      );
    }
    return text;
  };
}
