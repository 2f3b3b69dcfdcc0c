/** The page's files, made from page/ by esbuild and held in memory: nothing built is kept on disk. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { build, stop } from 'esbuild';

export interface Asset {
  contentType: string;
  bytes: Uint8Array;
  etag: string;
}

const PAGE_DIRECTORY = join(import.meta.dirname, 'page');
/** What browsers of the last two years understand. */
const TARGETS = ['chrome123', 'firefox120', 'safari17.5'];
const CONTENT_TYPES: Record<string, string> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

/** By file name. Parts that not every visit needs, such as the terminal, are files of their own. */
export async function bundlePage(): Promise<Map<string, Asset>> {
  const { outputFiles } = await build({
    entryPoints: [{ in: join(PAGE_DIRECTORY, 'main.tsx'), out: 'main' }],
    outdir: '/assets',
    write: false,
    bundle: true,
    format: 'esm',
    splitting: true,
    minify: true,
    target: TARGETS,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'eof',
    logLevel: 'silent',
  });
  // Its process is needed once only.
  await stop();
  return new Map(
    outputFiles.map(({ path, contents }) => [path.slice('/assets/'.length), asset(path, contents)]),
  );
}

function asset(path: string, bytes: Uint8Array): Asset {
  const extension = path.slice(path.lastIndexOf('.') + 1);
  return {
    contentType: CONTENT_TYPES[extension] ?? 'application/octet-stream',
    bytes,
    etag: `"${createHash('sha256').update(bytes).digest('base64url')}"`,
  };
}
