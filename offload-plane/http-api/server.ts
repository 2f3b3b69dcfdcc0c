/** The plane's HTTP API: one plugin a resource, errors as application/problem+json (RFC 9457). */
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { LogController } from 'fastify';
import { dashboardRoutes } from '../dashboard/routes.ts';
import type { Logger } from '../logger.ts';
import type { Plane } from '../plane.ts';
import { refuseForeignPages, requireToken } from './access.ts';
import { asCheckedJson, asJson } from './answers.ts';
import { checkpointRoutes } from './checkpoints.ts';
import { containerRoutes } from './containers.ts';
import { eventRoutes } from './events.ts';
import { addWebSockets, execRoutes } from './execs.ts';
import { guestLoadRoutes } from './guest-load.ts';
import { guestRoutes } from './guests.ts';
import { addIdempotency } from './idempotency.ts';
import { imageRoutes } from './images.ts';
import { metricsRoute } from './metrics.ts';
import { describeApi } from './openapi.ts';
import { operationRoutes } from './operations.ts';
import { answerProblems, clientError, PROBLEM_TYPE, problemOf } from './problems.ts';
import { restoreRoutes } from './restores.ts';
import { streamRoutes } from './streams.ts';
import { templateRoutes } from './templates.ts';
import { timelineRoutes } from './timelines.ts';
import { traceRequests } from './trace-requests.ts';
import { volumeRoutes } from './volumes.ts';

export { API_VERSION } from './version.ts';

const MAX_BODY_BYTES = 256 * 1024;
const MAX_PARAMETER_LENGTH = 256;
const MAX_CONNECTIONS = 1_024;
const HEADERS_TIMEOUT_MS = 10_000;
/** Until the last byte of a request: an image that is uploaded is the longest. */
const REQUEST_TIMEOUT_MS = 60 * 60_000;

export interface TlsFiles {
  cert: string;
  key: string;
  /** With it only clients whose certificate it signed are let in. */
  clientCa?: string;
}

export interface HttpApiOptions {
  /** Asked for in every request, see access.ts. */
  token?: string;
  tls?: TlsFiles;
  /** Compares each answer with the schema of its route: for tests. */
  checkAnswers?: boolean;
}

function createApp(logger: Logger, { tls, checkAnswers }: HttpApiOptions) {
  const limits = { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS };
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAX_PARAMETER_LENGTH },
    ajv: { customOptions: { removeAdditional: false } },
    serverFactory(handler) {
      const { cert, key, clientCa } = tls ?? {};
      const client = clientCa === undefined ? {} : { ca: clientCa, requestCert: true };
      const server = tls
        ? createTlsServer({ ...limits, minVersion: 'TLSv1.3', cert, key, ...client }, handler)
        : createServer(limits, handler);
      server.maxConnections = MAX_CONNECTIONS;
      return server;
    },
    frameworkErrors(error, request, reply) {
      const problem = clientError(error, `${request.method} ${request.url}`);
      reply.raw.writeHead(problem.status, { 'content-type': PROBLEM_TYPE });
      reply.raw.end(JSON.stringify(problemOf(problem)));
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setSerializerCompiler(checkAnswers ? asCheckedJson : asJson);
  return app;
}
export type App = ReturnType<typeof createApp>;

export async function createHttpApi(
  plane: Plane,
  logger: Logger,
  options: HttpApiOptions = {},
): Promise<App> {
  const app = createApp(logger, options);
  if (options.tls?.clientCa !== undefined) refuseForeignPages(app);
  if (options.token !== undefined) await requireToken(app, options.token);
  // What comes as a tar is read by whoever takes it, within limits of its own.
  app.addContentTypeParser('application/x-tar', (_request, body, done) => done(null, body));
  traceRequests(app, plane.tracing);
  answerProblems(app, logger);
  await describeApi(app);
  await addWebSockets(app);
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown';
    plane.metrics.request(request.method, route, reply.statusCode, reply.elapsedTime);
  });
  app.addHook('onRequest', async ({ method, url }) => {
    // Beside guests, which are what is waited for.
    if (method !== 'GET' && !url.startsWith('/v1/guests')) await plane.firstContact;
  });
  addIdempotency(app, plane.answers, plane.containers.isUnfinished);
  dashboardRoutes(app);
  guestRoutes(app, plane);
  guestLoadRoutes(app, plane);
  imageRoutes(app, plane);
  volumeRoutes(app, plane);
  containerRoutes(app, plane);
  execRoutes(app, plane);
  streamRoutes(app, plane);
  checkpointRoutes(app, plane);
  restoreRoutes(app, plane);
  templateRoutes(app, plane);
  timelineRoutes(app, plane);
  operationRoutes(app, plane);
  eventRoutes(app, plane);
  metricsRoute(app, plane);
  await app.ready();
  return app;
}
