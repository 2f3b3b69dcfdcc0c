/** The API's description: every route with its schemas, a tag a noun, and the problems that all of them may give. */
import swagger from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { nameSchemas } from './named-schemas.ts';
import { relaxDefaults } from './optional-defaults.ts';
import { Problem } from './schemas/common.ts';
import type { App } from './server.ts';
import { API_VERSION } from './version.ts';

export async function describeApi(app: App): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'offload-plane',
        version: API_VERSION,
        description: 'The container control plane: docs/api.md tells what it means.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{}, { token: [] }],
    },
  });
  app.addHook('onRoute', (route) => {
    const { schema = {} as FastifySchema, url, method } = route;
    if (schema.hide) return;
    const noun = url.split('/')[2] ?? 'plane';
    route.schema = {
      tags: [noun],
      operationId: operationId([method].flat()[0] ?? 'GET', url),
      ...schema,
      response: { '4xx': Problem, '5xx': Problem, ...(schema.response as object) },
    };
  });
  let description: object | undefined;
  app.get('/v1/openapi.json', { schema: { hide: true } }, () => {
    if (description === undefined) {
      const whole = app.swagger();
      relaxDefaults(whole);
      description = nameSchemas(whole);
    }
    return description;
  });
}

/** `POST /v1/containers/:name/start` is `postContainersNameStart`. */
function operationId(method: string, url: string): string {
  const parts = url.split(/[^a-zA-Z0-9]+/).filter((part) => part !== '' && part !== 'v1');
  return [method.toLowerCase(), ...parts.map((part) => part[0]?.toUpperCase() + part.slice(1))].join('');
}
