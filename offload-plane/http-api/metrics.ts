/** /metrics */
import type { Plane } from '../plane.ts';
import type { App } from './server.ts';

export function metricsRoute(app: App, plane: Plane): void {
  const { metrics } = plane;
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    metrics.setPresent({
      guests: plane.guests.list().map(({ phase }) => phase),
      containers: plane.containers.list().map(({ phase }) => phase),
      operations: plane.operations.list(),
      restores: plane.restores.list().map(({ phase }) => phase),
      store: plane.store.figures,
    });
    return reply.type(metrics.contentType).send(await metrics.text());
  });
}
