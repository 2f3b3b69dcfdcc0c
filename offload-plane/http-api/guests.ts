/** /v1/guests */
import type { Guest } from '../guests/guest.ts';
import type { Plane } from '../plane.ts';
import { GuestBody, NameParams } from './schemas.ts';
import type { App } from './server.ts';

const viewOf = ({ registration, health, deadlineScale, lost }: Guest) => ({
  ...registration,
  phase: lost ? 'lost' : 'ready',
  deadlineScale,
  health,
});

export function guestRoutes(app: App, { guests }: Plane): void {
  app.get('/v1/guests', { schema: { summary: 'List guests' } }, () => guests.list().map(viewOf));
  app.post(
    '/v1/guests',
    { schema: { summary: 'Register a guest and connect to its agent', body: GuestBody } },
    async (request, reply) => reply.code(201).send(viewOf(await guests.register(request.body))),
  );
  app.get('/v1/guests/:name', { schema: { summary: 'Inspect a guest', params: NameParams } }, (request) =>
    viewOf(guests.get(request.params.name)),
  );
  app.delete(
    '/v1/guests/:name',
    { schema: { summary: 'Forget a guest', params: NameParams } },
    async (request, reply) => {
      await guests.unregister(request.params.name);
      return reply.code(204).send();
    },
  );
}
