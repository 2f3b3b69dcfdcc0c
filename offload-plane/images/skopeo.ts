/** skopeo, which speaks to registries and reads archives of Docker's. Its arguments, and what its errors mean. */
import { type ErrorCode, OffloadError } from '../../platform/errors.ts';

export interface RegistryOptions {
  /** false: plain HTTP and unknown certificates are fine, for registries of one's own. */
  tlsVerify: boolean;
  /** Credentials, in the format that docker, podman and skopeo share. */
  authFile?: string;
}

/** Guests run nothing else. */
const PLATFORM = ['--override-os', 'linux', '--override-arch', 'amd64'];

/** Prints the manifest or index that the reference means, byte for byte. */
export function inspectArgv(reference: string, options: RegistryOptions): string[] {
  const auth = options.authFile === undefined ? [] : ['--authfile', options.authFile];
  return ['inspect', '--raw', `--tls-verify=${options.tlsVerify}`, ...auth, `docker://${reference}`];
}

/** Into an OCI layout that holds one image, its layers as the registry has them. */
export function pullArgv(
  reference: string,
  target: { layout: string; scratch: string },
  options: RegistryOptions,
): string[] {
  const auth = options.authFile === undefined ? [] : ['--src-authfile', options.authFile];
  return [
    ...['--tmpdir', target.scratch, ...PLATFORM],
    ...['copy', '--quiet', '--dest-oci-accept-uncompressed-layers', `--src-tls-verify=${options.tlsVerify}`],
    ...auth,
    ...[`docker://${reference}`, `oci:${target.layout}:image`],
  ];
}

/** @param archive without a colon in it, which would begin a tag; so for the directories */
export function convertArchiveArgv(archive: string, target: { layout: string; scratch: string }): string[] {
  return [
    ...['--tmpdir', target.scratch, ...PLATFORM],
    ...['copy', '--quiet', `docker-archive:${archive}`, `oci:${target.layout}:image`],
  ];
}

const MEANINGS: readonly [RegExp, ErrorCode][] = [
  [/unauthorized|authentication required|denied|invalid username/i, 'unauthorized'],
  [/manifest unknown|name unknown|not found|repository name not known/i, 'not_found'],
  [/does ?n[o']t match|digest did not match|mismatch|wrong size|unexpected EOF/i, 'digest_mismatch'],
];

/** What it begins with, whatever went wrong with an image whose name it has parsed well. */
const MISLEADING = /^Error parsing image name "[^"]*": /i;

/** A failure of skopeo's, by what it says is wrong; its own log line is taken apart. */
export function skopeoError(error: unknown, subject: string): unknown {
  if (!(error instanceof OffloadError) || error.code !== 'runtime_failed') return error;
  const logged = /msg="((?:[^"\\]|\\.)*)"/.exec(error.message)?.[1]?.replaceAll('\\"', '"');
  const said = (logged ?? error.message).replace(MISLEADING, '');
  const code = MEANINGS.find(([pattern]) => pattern.test(said))?.[1] ?? 'registry_failed';
  return new OffloadError(code, `${subject}: ${said}`, { cause: error });
}
