/** /v1/events */
import { Type } from 'typebox';
import type { Plane } from '../plane.ts';
import { sendLines } from './ndjson.ts';
import { streamOf, strict } from './schemas/common.ts';
import type { App } from './server.ts';

const EventsQuery = Type.Object(
  {
    since: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Only events after this number; default: from now on' }),
    ),
    follow: Type.Boolean({ default: true, description: 'Whether to wait for those to come' }),
    container: Type.Optional(Type.String({ maxLength: 128 })),
    guest: Type.Optional(Type.String({ maxLength: 128 })),
  },
  strict,
);

export function eventRoutes(app: App, { journal, containers }: Plane): void {
  app.get(
    '/v1/events',
    {
      schema: {
        summary: 'What happens to containers and guests',
        querystring: EventsQuery,
        response: { 200: streamOf('application/x-ndjson', 'One event a line, numbered by the plane') },
      },
    },
    (request, reply) => {
      const { since, follow, container, guest } = request.query;
      const filter = {
        ...(container === undefined ? {} : { container: containers.idOf(container) }),
        ...(guest === undefined ? {} : { guest }),
      };
      const from = since ?? (follow ? journal.last() : 0);
      return sendLines(reply, (signal) => journal.read(from, filter, follow ? signal : undefined));
    },
  );
}
