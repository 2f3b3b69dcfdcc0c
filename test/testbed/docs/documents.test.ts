import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { betweenMarkers } from '../../../platform/markdown.ts';
import { createProgram } from '../../../testbed/cli/program.ts';
import { AGENT_MARKERS, agentCallTable } from '../../../testbed/docs/agent-calls.ts';
import { ROUTE_MARKERS, routeTables } from '../../../testbed/docs/routes.ts';
import { VERB_MARKERS, verbReference } from '../../../testbed/docs/verbs.ts';

const read = (name: string) => readFileSync(join(import.meta.dirname, '../../../docs', name), 'utf8');

/** @throws when the document tells something else than the code */
function expectNew(name: string, markers: readonly [string, string], markdown: string): void {
  const document = read(name);
  assert.ok(betweenMarkers(document, markers, markdown) === document, `docs/${name} is old: npm run docs`);
}

test('docs/api.md has every route as the description of the API has it, and every call of an agent', () => {
  expectNew('api.md', ROUTE_MARKERS, routeTables(JSON.parse(read('openapi.json'))));
  expectNew('api.md', AGENT_MARKERS, agentCallTable());
});

test('docs/cli.md has every verb and flag as --help shows them', () => {
  const reference = verbReference(createProgram());
  expectNew('cli.md', VERB_MARKERS, reference);
  for (const verb of [
    'run [image] [command…]',
    'checkpoint export <checkpoint>',
    'bench restore',
    'store gc',
  ])
    assert.ok(reference.includes(`#### \`offload ${verb}\``), verb);
});

test('a route is told with what it takes and gives', () => {
  const json = (schema: object) => ({ 'application/json': { schema } });
  const schema = { properties: { name: {}, size: { default: 1 } }, required: ['name'] };
  const tables = routeTables({
    paths: {
      '/v1/things/{id}': {
        post: {
          summary: 'Make a thing',
          tags: ['things'],
          parameters: [
            { name: 'id', in: 'path', required: true, schema: {} },
            { name: 'force', in: 'query', required: false, schema: { default: false } },
          ],
          requestBody: { content: json(schema) },
          responses: {
            201: { description: '', content: json({ $ref: '#/components/schemas/Thing' }) },
            204: { description: 'Done' },
            '4XX': { description: 'What went wrong', content: json({}) },
          },
        },
      },
    },
  });
  assert.match(
    tables,
    /^\| `POST \/v1\/things\/:id` \| Make a thing \| `force\?` \(false\) \| `name`, `size\?` \| 201 Thing, 204 \|$/m,
  );
});

test.run();
