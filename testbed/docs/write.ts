/** `npm run docs`: docs/openapi.json is what a plane answers on /v1/openapi.json; the references are made from it. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpApi } from '../../offload-plane/http-api/server.ts';
import { createLogger } from '../../offload-plane/logger.ts';
import { createPlane, DEFAULT_TIMEOUTS } from '../../offload-plane/plane.ts';
import { betweenMarkers } from '../../platform/markdown.ts';
import { createProgram } from '../cli/program.ts';
import { AGENT_MARKERS, agentCallTable } from './agent-calls.ts';
import { type ApiDescription, ROUTE_MARKERS, routeTables } from './routes.ts';
import { VERB_MARKERS, verbReference } from './verbs.ts';

const documentPath = (name: string) => join(import.meta.dirname, '../../docs', name);

async function describeApi(): Promise<ApiDescription> {
  const directory = mkdtempSync(join(tmpdir(), 'openapi-'));
  const logger = createLogger('silent');
  const plane = await createPlane(
    { storeDirectory: directory, hostAddress: '127.0.0.1', timeouts: DEFAULT_TIMEOUTS },
    { logger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  const api = await createHttpApi(plane, logger);
  const { body } = await api.inject({ url: '/v1/openapi.json' });
  await api.close();
  await plane.close();
  rmSync(directory, { recursive: true });
  return JSON.parse(body) as ApiDescription;
}

function rewrite(name: string, markers: readonly [string, string], markdown: string): void {
  const path = documentPath(name);
  writeFileSync(path, betweenMarkers(readFileSync(path, 'utf8'), markers, markdown));
}

const description = await describeApi();
writeFileSync(documentPath('openapi.json'), `${JSON.stringify(description, null, 1)}\n`);
rewrite('api.md', ROUTE_MARKERS, routeTables(description));
rewrite('api.md', AGENT_MARKERS, agentCallTable());
rewrite('cli.md', VERB_MARKERS, verbReference(createProgram()));
