/** A span for each request that changes something, or that comes with a trace of its own. */
import type { FastifyRequest } from 'fastify';
import type { OpenSpan, Tracing } from '../tracing/tracing.ts';
import type { App } from './server.ts';

export function traceRequests(app: App, tracing: Tracing): void {
  if (!tracing.enabled) return;
  const spans = new WeakMap<FastifyRequest, OpenSpan>();
  app.addHook('onRequest', async (request) => {
    const { method, headers, routeOptions } = request;
    const traceparent = typeof headers.traceparent === 'string' ? headers.traceparent : undefined;
    if (method === 'GET' && traceparent === undefined) return;
    const route = routeOptions.url ?? 'unknown';
    spans.set(
      request,
      tracing.begin(`${method} ${route}`, {
        kind: 'server',
        attributes: { 'http.request.method': method, 'http.route': route },
        ...(traceparent === undefined ? {} : { traceparent }),
      }),
    );
  });
  // Not before: what reads the body is called by the connection, outside of any span.
  app.addHook('preHandler', (request, _reply, done) => {
    const span = spans.get(request);
    if (span) span.run(done);
    else done();
  });
  app.addHook('onResponse', async (request, reply) => {
    const span = spans.get(request);
    span?.set({ 'http.response.status_code': reply.statusCode });
    span?.end(reply.statusCode >= 500 ? `status ${reply.statusCode}` : undefined);
  });
}
