/** A plane's socket that answers what it was told to, and notes what it was asked. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { tempDirectory } from '../../helpers/temp-directory.ts';

export interface Asked {
  line: string;
  body: unknown;
}

export class Refusal {
  readonly status: number;
  readonly title: string;
  readonly detail: string;

  constructor(status: number, title: string, detail: string) {
    [this.status, this.title, this.detail] = [status, title, detail];
  }
}
const NOT_FOUND = new Refusal(404, 'not_found', 'container none: there is none of this name');

/** A plane's socket with an answer to each `METHOD path`; what it has not is a problem as the plane tells it. */
export async function withPlane(
  answers: Record<string, unknown>,
  body: (socket: string, asked: Asked[]) => Promise<void>,
): Promise<void> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const line = `${request.method} ${request.url}`;
    const sent = await text(request);
    asked.push({ line, body: sent ? JSON.parse(sent) : undefined });
    const answer = answers[line];
    if (answer === undefined || answer instanceof Refusal) {
      const { status, title, detail } = answer ?? NOT_FOUND;
      response.writeHead(status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ title, status, detail }));
    } else response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  const socket = join(tempDirectory('cli'), 'plane.sock');
  server.listen(socket);
  await once(server, 'listening');
  try {
    await body(socket, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
