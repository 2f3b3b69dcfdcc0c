/** A registry that serves one image as a test says: whole, or wrong in one place. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { FixtureLayout } from './layout-fixture.ts';
import { digestOf } from './layout-fixture.ts';

export interface Lies {
  /** Takes the place of the manifest, whatever it is asked by. */
  manifest?: Buffer;
  /** Answers for the layer's blob. */
  layer?: (response: ServerResponse, whole: Buffer) => void;
  /** Never answers. */
  silent?: boolean;
}

export interface LyingRegistry {
  readonly address: string;
  /** How often the layer was asked for. */
  readonly layerRequestCount: number;
  close(): void;
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

export async function startLyingRegistry(layout: FixtureLayout, lies: Lies = {}): Promise<LyingRegistry> {
  let layerRequestCount = 0;
  const blob = (digest: string) => readFileSync(layout.blobPath(digest));
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    response.on('error', () => {});
    if (lies.silent) return;
    if (url === '/v2/') return void response.end('{}');
    if (url.includes('/manifests/')) {
      const bytes = lies.manifest ?? blob(layout.manifestDigest);
      response.setHeader('content-type', MANIFEST);
      response.setHeader('docker-content-digest', digestOf(bytes));
      return void response.end(bytes);
    }
    const digest = decodeURIComponent(url.slice(url.lastIndexOf('/') + 1));
    if (digest !== layout.layerDigest) return void response.end(blob(digest));
    layerRequestCount += 1;
    if (lies.layer) lies.layer(response, blob(digest));
    else response.end(blob(digest));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as { port: number }).port}`,
    get layerRequestCount() {
      return layerRequestCount;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
