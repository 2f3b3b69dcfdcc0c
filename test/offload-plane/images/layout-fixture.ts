/** OCI layouts made on the spot, whole or spoiled in one place. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';

export type Entry = Partial<Header> & { name: string; content?: string | Buffer };

export async function makeTar(entries: Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of entries) {
    if (content !== undefined) tar.entry(header, content);
    else tar.entry({ type: 'directory', ...header });
  }
  tar.finalize();
  return await buffer(tar as AsyncIterable<Buffer>);
}

export const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface FixtureLayout {
  root: string;
  manifestDigest: string;
  layerDigest: string;
  configDigest: string;
  blobPath(digest: string): string;
}

export interface FixtureOptions {
  entries?: Entry[];
  /** Takes the place of the layer's tar. */
  layerTar?: Buffer;
  /** More layers than one, the lowest first. */
  layerTars?: Buffer[];
  diffId?: string;
  layerMediaType?: string;
  config?: object;
  os?: string;
  architecture?: string;
  layoutVersion?: string;
  tag?: string;
}

const MTIME = new Date('2021-03-04T05:06:07Z');

export const DEFAULT_ENTRIES: Entry[] = [
  { name: './', mode: 0o755, mtime: MTIME },
  { name: 'etc/', mode: 0o755, mtime: MTIME },
  { name: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\nweb:x:101:102::/:/bin/sh\n', mtime: MTIME },
  { name: 'hello', content: 'hello\n', mode: 0o750, uid: 7, gid: 8, mtime: MTIME },
  { name: 'link', type: 'symlink', linkname: '/anywhere', content: '', mtime: MTIME },
];

export async function makeLayout(root: string, options: FixtureOptions = {}): Promise<FixtureLayout> {
  const blobs = join(root, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const blobPath = (digest: string) => join(blobs, digest.slice('sha256:'.length));
  const put = (bytes: Buffer, mediaType: string) => {
    const digest = digestOf(bytes);
    writeFileSync(blobPath(digest), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const tar = options.layerTar ?? (await makeTar(options.entries ?? DEFAULT_ENTRIES));
  const tars = options.layerTars ?? [tar];
  const layerType = options.layerMediaType ?? 'application/vnd.oci.image.layer.v1.tar+gzip';
  const layers = tars.map((bytes) => put(layerType.endsWith('+gzip') ? gzipSync(bytes) : bytes, layerType));
  const configJson = {
    architecture: options.architecture ?? 'amd64',
    os: options.os ?? 'linux',
    config: options.config ?? {
      User: 'web',
      Env: ['A=1'],
      Entrypoint: ['/hello'],
      Cmd: ['--now'],
      ExposedPorts: { '8080/tcp': {}, '53/udp': {}, '80': {} },
    },
    rootfs: { type: 'layers', diff_ids: options.diffId ? [options.diffId] : tars.map(digestOf) },
  };
  const config = put(Buffer.from(JSON.stringify(configJson)), 'application/vnd.oci.image.config.v1+json');
  const manifestJson = { schemaVersion: 2, config, layers };
  const manifest = put(
    Buffer.from(JSON.stringify(manifestJson)),
    'application/vnd.oci.image.manifest.v1+json',
  );
  const annotations = { 'org.opencontainers.image.ref.name': options.tag ?? 'latest' };
  writeIndex(root, [...readIndex(root), { ...manifest, annotations }]);
  writeFileSync(
    join(root, 'oci-layout'),
    JSON.stringify({ imageLayoutVersion: options.layoutVersion ?? '1.0.0' }),
  );
  return {
    root,
    manifestDigest: manifest.digest,
    layerDigest: layers[0]?.digest ?? '',
    configDigest: config.digest,
    blobPath,
  };
}

export function writeIndex(root: string, manifests: object[]): void {
  writeFileSync(join(root, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}

export function readIndex(root: string): object[] {
  try {
    return JSON.parse(readFileSync(join(root, 'index.json'), 'utf8')).manifests;
  } catch {
    return [];
  }
}

/** The layout's directory as the entries of a tar. */
export function layoutEntries(root: string, below = ''): Entry[] {
  return readdirSync(join(root, below)).flatMap((name) => {
    const path = join(below, name);
    if (statSync(join(root, path)).isDirectory()) return [{ name: `${path}/` }, ...layoutEntries(root, path)];
    return [{ name: path, content: readFileSync(join(root, path)) }];
  });
}
