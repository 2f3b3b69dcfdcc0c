/** Layers to a read-only block image: umoci flattens them, mkfs.erofs packs the result. */
import { mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from 'typebox';
import { syncPath } from './durable-file.ts';
import { ROOTFS_FILE } from './image-record.ts';
import type { Descriptor } from './oci-schema.ts';
import { LAYOUT_VERSION, MANIFEST_TYPE, parseOci, REF_NAME } from './oci-schema.ts';
import type { RunTool } from './run-tool.ts';

/** The tag of the only image in the layout that umoci is shown. */
const TAG = 'import';
/** erofs keeps seconds as 64 bits, tools and people do not: nothing is stamped later than the year 2100. */
const MTIME_MAX_S = 4_102_444_800;

export interface BuildRootfsOptions {
  /** Operation and subject, for messages. */
  subject: string;
  /** A directory of ours; it gets `rootfs.erofs`. */
  directory: string;
  manifest: { descriptor: Descriptor; bytes: Buffer };
  config: { descriptor: Descriptor; bytes: Buffer };
  layers: { descriptor: Descriptor; path: string }[];
  /** Latest modification time in any layer, in seconds since 1970. */
  mtimeMaxS: number;
  run: RunTool;
  timeoutMs: number;
  signal: AbortSignal;
  onPhase: (phase: 'unpack' | 'build') => void;
}

/** umoci's runtime configuration, of which only the looked-up user is taken. */
const RuntimeConfig = Type.Object({
  process: Type.Object({
    user: Type.Object({ uid: Type.Integer({ minimum: 0 }), gid: Type.Integer({ minimum: 0 }) }),
  }),
});

export async function buildRootfs(
  options: BuildRootfsOptions,
): Promise<{ rootfsBytes: number; user: string }> {
  const { directory, run, timeoutMs, signal } = options;
  const inDirectory = { cwd: directory, timeoutMs, signal };
  await writeVerifiedLayout(options);
  options.onPhase('unpack');
  // Relative paths: umoci takes what follows a colon for a tag, also in the middle of a directory's name.
  const image = ['--image', `layout:${TAG}`];
  await run('umoci', ['raw', 'unpack', ...image, 'rootfs'], inDirectory);
  await run('umoci', ['raw', 'runtime-config', ...image, '--rootfs', 'rootfs', 'runtime.json'], inDirectory);
  const runtime = parseOci(
    RuntimeConfig,
    await readFile(join(directory, 'runtime.json')),
    `${options.subject}: runtime configuration`,
  );
  options.onPhase('build');
  await run('mkfs.erofs', mkfsArgv(options.manifest.descriptor.digest), {
    ...inDirectory,
    env: { SOURCE_DATE_EPOCH: String(Math.max(0, Math.min(options.mtimeMaxS, MTIME_MAX_S))) },
  });
  await Promise.all(
    ['rootfs', 'layout', 'runtime.json'].map((name) =>
      rm(join(directory, name), { recursive: true, force: true }),
    ),
  );
  const rootfsPath = join(directory, ROOTFS_FILE);
  await syncPath(rootfsPath);
  const { uid, gid } = runtime.process.user;
  return { rootfsBytes: (await stat(rootfsPath)).size, user: `${uid}:${gid}` };
}

/**
 * The same image gives the same bytes: the UUID comes from its digest, and SOURCE_DATE_EPOCH stamps the
 * superblock and whatever is younger (directories that no layer mentions) while files keep their times
 * (`-T` of erofs-utils 1.5 would set them all). No compression: pages are read by fault, not by stream.
 */
function mkfsArgv(digest: string): string[] {
  const hex = digest.slice('sha256:'.length);
  const uuid = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20, 32),
  ].join('-');
  return ['--quiet', '-U', uuid, ROOTFS_FILE, 'rootfs'];
}

/** A layout of exactly the blobs that were verified; umoci compares their digests once more as it reads. */
async function writeVerifiedLayout({
  directory,
  manifest,
  config,
  layers,
}: BuildRootfsOptions): Promise<void> {
  const blobs = join(directory, 'layout', 'blobs', 'sha256');
  const blob = (descriptor: Descriptor) => join(blobs, descriptor.digest.slice('sha256:'.length));
  await mkdir(blobs, { recursive: true });
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        mediaType: MANIFEST_TYPE,
        digest: manifest.descriptor.digest,
        size: manifest.descriptor.size,
        annotations: { [REF_NAME]: TAG },
      },
    ],
  };
  await writeFile(
    join(directory, 'layout', 'oci-layout'),
    JSON.stringify({ imageLayoutVersion: LAYOUT_VERSION }),
  );
  await writeFile(join(directory, 'layout', 'index.json'), JSON.stringify(index));
  await writeFile(blob(manifest.descriptor), manifest.bytes);
  await writeFile(blob(config.descriptor), config.bytes);
  // The same layer may appear twice in a manifest.
  const paths = new Map(layers.map((layer) => [blob(layer.descriptor), layer.path]));
  for (const [target, path] of paths) await symlink(path, target);
}
