/** One JSON a line, as it comes, until the source ends or the client goes. */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';

export function sendLines(
  reply: FastifyReply,
  open: (signal: AbortSignal) => AsyncIterable<unknown>,
): Readable {
  const abort = new AbortController();
  reply.raw.once('close', () => abort.abort());
  reply.type('application/x-ndjson');
  return Readable.from(lines(open(abort.signal)), { objectMode: false });
}

async function* lines(source: AsyncIterable<unknown>): AsyncGenerator<string> {
  // At once, so that the client has its headers before the first event.
  yield '\n';
  for await (const value of source) yield `${JSON.stringify(value)}\n`;
}
