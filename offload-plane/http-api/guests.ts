/** /v1/guests */
import type { Guest } from '../guests/guest.ts';
import { OperationView } from '../operations/operation.ts';
import type { Plane } from '../plane.ts';
import { answerLongCall } from './long-calls.ts';
import { Page, PageQuery, pageOf } from './pages.ts';
import { NameParams, Nothing } from './schemas/common.ts';
import { DrainBody, DrainResult, GuestBody, GuestView } from './schemas/guests.ts';
import type { App } from './server.ts';

const viewOf = ({ registration, health, deadlineScale, phase, cordoned }: Guest): GuestView => ({
  ...registration,
  phase,
  cordoned,
  deadlineScale,
  health,
});

export function guestRoutes(app: App, plane: Plane): void {
  const { guests, drainer, operations, answers } = plane;
  const params = NameParams;
  app.get(
    '/v1/guests',
    { schema: { summary: 'List guests', querystring: PageQuery, response: { 200: Page(GuestView) } } },
    ({ query }) =>
      pageOf({ kind: 'guests', items: guests.list().map(viewOf), keyOf: ({ name }) => name }, query),
  );
  app.post(
    '/v1/guests',
    {
      schema: {
        summary: 'Register a guest and connect to its agent',
        body: GuestBody,
        response: { 201: GuestView },
      },
    },
    async (request, reply) => reply.code(201).send(viewOf(await guests.register(request.body))),
  );
  app.get(
    '/v1/guests/:name',
    { schema: { summary: 'Inspect a guest', params, response: { 200: GuestView } } },
    (request) => viewOf(guests.get(request.params.name)),
  );
  app.post(
    '/v1/guests/:name/cordon',
    { schema: { summary: 'Give a guest no new containers', params, response: { 200: GuestView } } },
    (request) => viewOf(guests.cordon(request.params.name)),
  );
  app.post(
    '/v1/guests/:name/uncordon',
    { schema: { summary: 'Give a guest new containers again', params, response: { 200: GuestView } } },
    (request) => viewOf(guests.uncordon(request.params.name)),
  );
  app.post(
    '/v1/guests/:name/drain',
    {
      schema: {
        summary: 'Cordon a guest and move its containers into others',
        params,
        body: DrainBody,
        response: { 200: DrainResult, 202: OperationView },
      },
    },
    (request, reply) => {
      const { name: guest } = request.params;
      const { rest } = request.body;
      guests.get(guest);
      return answerLongCall(
        operations,
        { request, reply, status: 200 },
        { kind: 'drain', subject: guest },
        async (following) => {
          // What it moves has to be as it is on record.
          await plane.firstContact;
          return await answers.asPart(() => drainer.drain({ guest, rest }, following));
        },
      );
    },
  );
  app.delete(
    '/v1/guests/:name',
    { schema: { summary: 'Forget a guest', params, response: { 204: Nothing } } },
    async (request, reply) => {
      await guests.unregister(request.params.name);
      return reply.code(204).send();
    },
  );
}
