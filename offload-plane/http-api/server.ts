/** The plane's HTTP API: one plugin a resource, errors as application/problem+json (RFC 9457). */
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyError, LogController } from 'fastify';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Logger } from '../logger.ts';
import type { Plane } from '../plane.ts';
import { checkpointRoutes } from './checkpoints.ts';
import { containerRoutes } from './containers.ts';
import { guestRoutes } from './guests.ts';
import { imageRoutes } from './images.ts';
import { restoreRoutes } from './restores.ts';
import { timelineRoutes } from './timelines.ts';

const MAX_BODY_BYTES = 256 * 1024;
export const API_VERSION = '0.1.0';

function createApp(logger: Logger) {
  return fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    ajv: { customOptions: { removeAdditional: false } },
  }).withTypeProvider<TypeBoxTypeProvider>();
}
export type App = ReturnType<typeof createApp>;

export async function createHttpApi(plane: Plane, logger: Logger): Promise<App> {
  const app = createApp(logger);
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'offload-plane', version: API_VERSION } },
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = clientError(error, `${request.method} ${request.url}`);
    if (known.status >= 500) logger.error({ err: error, url: request.url }, known.message);
    void reply
      .code(known.status)
      .type('application/problem+json')
      .send({
        type: `urn:offload:error:${known.code}`,
        title: known.code,
        status: known.status,
        detail: known.message,
      });
  });
  app.setNotFoundHandler((request) => {
    throw new OffloadError('not_found', `${request.method} ${request.url}: there is no such resource`);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    plane.metrics.request(request.method, route, reply.statusCode, reply.elapsedTime);
  });
  guestRoutes(app, plane);
  imageRoutes(app, plane);
  containerRoutes(app, plane);
  checkpointRoutes(app, plane);
  restoreRoutes(app, plane);
  timelineRoutes(app, plane);
  app.get('/v1/openapi.json', { schema: { hide: true } }, () => app.swagger());
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    plane.metrics.setGuestCount(plane.guests.list().filter((guest) => !guest.lost).length);
    plane.metrics.setStore(plane.store.figures);
    return reply.type(plane.metrics.contentType).send(await plane.metrics.text());
  });
  await app.ready();
  return app;
}

/** fastify's own refusals (a body that does not fit, a broken JSON) are the client's errors. */
function clientError(error: FastifyError, operation: string): OffloadError {
  if (error instanceof OffloadError) return error;
  if (error.validation || (error.statusCode !== undefined && error.statusCode < 500)) {
    return new OffloadError('invalid_request', `${operation}: ${error.message}`);
  }
  return toOffloadError(error, operation);
}
