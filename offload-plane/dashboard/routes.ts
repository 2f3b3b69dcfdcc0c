/**
 * The dashboard at `/`. Page and files are the same for everyone and hold no secret, so they are open (see
 * http-api/access.ts); what the page shows it asks of the API, with the token it was opened with.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from 'typebox';
import { OffloadError } from '../../platform/errors.ts';
import type { App } from '../http-api/server.ts';
import { type Asset, bundlePage } from './bundle.ts';

const NONCE_BYTES = 16;
const AssetParams = Type.Object(
  { file: Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }) },
  { additionalProperties: false },
);

/** @param nonce lets the terminal's own style elements in, and no others */
const contentSecurityPolicy = (nonce: string): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache',
};

export function dashboardRoutes(app: App): void {
  let bundled: Promise<Map<string, Asset>> | undefined;
  /** Made when it is first asked for; what failed is tried again. */
  function assets(): Promise<Map<string, Asset>> {
    bundled ??= bundlePage().catch((error: unknown) => {
      bundled = undefined;
      throw error;
    });
    return bundled;
  }
  const html = readFile(join(import.meta.dirname, 'page/index.html'), 'utf8');

  app.get('/', { schema: { hide: true } }, async (_request, reply) => {
    const nonce = randomBytes(NONCE_BYTES).toString('base64');
    return reply
      .headers({ ...HEADERS, 'content-security-policy': contentSecurityPolicy(nonce) })
      .type('text/html; charset=utf-8')
      .send((await html).replaceAll('{{nonce}}', nonce));
  });
  app.get('/assets/:file', { schema: { hide: true, params: AssetParams } }, async (request, reply) => {
    const asset = (await assets()).get(request.params.file);
    if (!asset) {
      throw new OffloadError(
        'not_found',
        `dashboard file ${request.params.file}: there is none of this name`,
      );
    }
    void reply.headers({ ...HEADERS, etag: asset.etag });
    if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send();
    return reply.type(asset.contentType).send(Buffer.from(asset.bytes));
  });
}
