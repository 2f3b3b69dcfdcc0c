/** /v1/containers/:name/execs, /v1/execs, and the WebSockets that attach to execs and containers. */
import type { Duplex } from 'node:stream';
import websocket from '@fastify/websocket';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Plane } from '../plane.ts';
import { CHANNEL_PROTOCOL, joinChannels, MAX_MESSAGE_BYTES } from './channels.ts';
import { NameParams, Nothing } from './schemas/common.ts';
import { AttachQuery, ExecBody, ExecParams, ExecView, SizeBody } from './schemas/execs.ts';
import type { App } from './server.ts';

/** Routes with `websocket: true` may be added from here on. */
export async function addWebSockets(app: App): Promise<void> {
  await app.register(websocket, {
    options: {
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(CHANNEL_PROTOCOL) ? CHANNEL_PROTOCOL : false),
    },
  });
  // The plugin hides them from the description.
  app.addHook('onRoute', ({ websocket, schema }) => {
    if (websocket && schema) delete schema.hide;
  });
}

const WEBSOCKET = `A WebSocket of protocol ${CHANNEL_PROTOCOL}: the first byte of a message is its channel`;

const UPGRADED = { 101: Type.Unsafe<undefined>(Type.Null({ description: 'The WebSocket is open' })) };

export function execRoutes(app: App, { stdio }: Plane): void {
  /** Opened before the upgrade, so that what goes wrong is answered as any problem is. */
  const opened = new WeakMap<FastifyRequest, Duplex>();
  async function keep(request: FastifyRequest, open: () => Promise<Duplex>): Promise<void> {
    // Without an upgrade there is nothing to attach to it.
    if (!request.ws) return;
    const stream = await open();
    const { socket } = request.raw;
    opened.set(request, stream);
    socket.setKeepAlive(true, 30_000);
    socket.once('close', () => stream.destroy());
  }
  const streamOf = (request: FastifyRequest) => opened.get(request) as Duplex;

  app.post(
    '/v1/containers/:name/execs',
    {
      schema: {
        summary: 'Start a program in a running container',
        params: NameParams,
        body: ExecBody,
        response: { 201: ExecView },
      },
    },
    async (request, reply) => {
      const { terminal = false, openStdin = false, env = [], detach = false, ...rest } = request.body;
      const spec = { terminal, openStdin, env, ...rest, ...(detach ? { detached: true } : {}) };
      return reply.code(201).send(await stdio.createExec(request.params.name, spec));
    },
  );
  app.get(
    '/v1/execs/:id',
    { schema: { summary: 'Inspect an exec', params: ExecParams, response: { 200: ExecView } } },
    (request) => stdio.inspectExec(request.params.id),
  );
  app.post(
    '/v1/execs/:id/resize',
    {
      schema: {
        summary: "Change the size of an exec's terminal",
        params: ExecParams,
        body: SizeBody,
        response: { 204: Nothing },
      },
    },
    async (request, reply) => {
      await stdio.resizeExec(request.params.id, request.body);
      return reply.code(204).send();
    },
  );
  app.post(
    '/v1/containers/:name/resize',
    {
      schema: {
        summary: "Change the size of a container's terminal",
        params: NameParams,
        body: SizeBody,
        response: { 204: Nothing },
      },
    },
    async (request, reply) => {
      await stdio.resize(request.params.name, request.body);
      return reply.code(204).send();
    },
  );
  app.get(
    '/v1/containers/:name/attach',
    {
      websocket: true,
      schema: {
        summary: "Attach to a container's standard streams",
        description: WEBSOCKET,
        params: NameParams,
        querystring: AttachQuery,
        response: UPGRADED,
      },
      async preHandler(request) {
        const { name } = request.params as { name: string };
        const { backlogBytes } = request.query as { backlogBytes: number };
        await keep(request, () => stdio.attach(name, backlogBytes));
      },
    },
    (socket, request) => {
      const { name } = request.params as { name: string };
      joinChannels(socket, streamOf(request), {
        operation: `attach to container ${name}`,
        resize: (size) => stdio.resize(name, size),
      });
    },
  );
  app.get(
    '/v1/execs/:id/attach',
    {
      websocket: true,
      schema: {
        summary: "Attach to an exec's standard streams",
        description: WEBSOCKET,
        params: ExecParams,
        querystring: AttachQuery,
        response: UPGRADED,
      },
      async preHandler(request) {
        const { id } = request.params as { id: string };
        const { backlogBytes } = request.query as { backlogBytes: number };
        await keep(request, () => stdio.attachExec(id, backlogBytes));
      },
    },
    (socket, request) => {
      const { id } = request.params as { id: string };
      joinChannels(socket, streamOf(request), {
        operation: `attach to exec ${id}`,
        resize: (size) => stdio.resizeExec(id, size),
      });
    },
  );
}
