import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { API_VERSION } from '../../../offload-plane/http-api/server.ts';
import { withApi } from '../../helpers/api-world.ts';

interface Described {
  summary?: string;
  operationId: string;
  tags: string[];
  responses: Record<string, unknown>;
}

test('the description of the API is served, and has an answer and a tag for every route', async () => {
  await withApi(async ({ send }) => {
    const { body } = await send('GET', '/v1/openapi.json');
    const written = readFileSync(join(import.meta.dirname, '../../../docs/openapi.json'), 'utf8');
    assert.ok(isDeepStrictEqual(body, JSON.parse(written)), 'docs/openapi.json is old: npm run docs');
    assert.is(body.openapi, '3.1.0');
    assert.is(body.info.version, API_VERSION);
    const routes = Object.entries(body.paths as Record<string, Record<string, Described>>).flatMap(
      ([path, methods]) => Object.entries(methods).map(([method, route]) => ({ path, method, route })),
    );
    assert.ok(routes.length >= 20);
    assert.is(new Set(routes.map(({ route }) => route.operationId)).size, routes.length);
    for (const { path, method, route } of routes) {
      assert.ok(route.summary, `${method} ${path} has no summary`);
      assert.ok(
        Object.keys(route.responses).some((status) => /^(101|2\d\d)$/.test(status)),
        `${method} ${path} describes no answer`,
      );
      assert.equal(route.tags, [path.split('/')[2]]);
    }
    assert.is(routes.filter(({ path }) => path.includes('openapi')).length, 0);
  });
});

test.run();
