/** Writes docs/openapi.json: what a plane answers on /v1/openapi.json. `npm run docs`. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpApi } from '../../offload-plane/http-api/server.ts';
import { createLogger } from '../../offload-plane/logger.ts';
import { createPlane, DEFAULT_TIMEOUTS } from '../../offload-plane/plane.ts';

const directory = mkdtempSync(join(tmpdir(), 'openapi-'));
const logger = createLogger('silent');
const plane = await createPlane(
  { storeDirectory: directory, hostAddress: '127.0.0.1', timeouts: DEFAULT_TIMEOUTS },
  { logger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
);
const api = await createHttpApi(plane, logger);
const { body } = await api.inject({ url: '/v1/openapi.json' });
const target = join(import.meta.dirname, '../../docs/openapi.json');
writeFileSync(target, `${JSON.stringify(JSON.parse(body), null, 1)}\n`);
await api.close();
await plane.close();
rmSync(directory, { recursive: true });
