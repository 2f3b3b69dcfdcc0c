/**
 * Which Debian mirror this machine uses, read from its own apt sources.
 *
 * The project names no mirror: whoever runs it has one configured already, perhaps the only one reachable.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One `deb` entry, whichever of apt's two formats it was written in. */
export interface AptSource {
  uri: string;
  suites: string[];
  components: string[];
  /** The Signed-By value as written: a path, fingerprints, or a whole key. */
  signedBy?: string;
}

export interface AptSourceFile {
  path: string;
  text: string;
}

export interface DebianMirror {
  /** Base of the main archive. */
  archiveUri: string;
  /** Base of the security archive, when this machine uses one. */
  securityUri?: string;
  codename: string;
}

/** Parses every file: `.sources` as deb822, anything else as one-line entries. */
export function parseAptSources(files: AptSourceFile[]): AptSource[] {
  return files.flatMap((file) =>
    file.path.endsWith('.sources') ? parseDeb822(file.text) : parseOneLine(file.text),
  );
}

function parseDeb822(text: string): AptSource[] {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  return lines
    .join('\n')
    .split(/\n[ \t]*\n/)
    .flatMap((stanza) => sourcesOfStanza(fieldsOf(stanza)));
}

function fieldsOf(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  let name = '';
  for (const line of stanza.split('\n')) {
    const match = /^([A-Za-z0-9-]+):\s*(.*)$/.exec(line);
    if (match) {
      name = match[1]!.toLowerCase();
      fields.set(name, match[2]!.trim());
    } else if (/^\s/.test(line) && name) {
      fields.set(name, `${fields.get(name)}\n${line.trim()}`.trim());
    }
  }
  return fields;
}

function sourcesOfStanza(fields: Map<string, string>): AptSource[] {
  const words = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter(Boolean);
  if (!words('types').includes('deb') || /^(no|false|off|0)$/i.test(fields.get('enabled') ?? 'yes'))
    return [];
  const signedBy = fields.get('signed-by');
  return words('uris').map((uri) => ({
    uri: trimSlash(uri),
    suites: words('suites'),
    components: words('components'),
    ...(signedBy ? { signedBy } : {}),
  }));
}

function parseOneLine(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (!match) return [];
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(match[1] ?? '')?.[1];
    return [
      {
        uri: trimSlash(match[2]!),
        suites: [match[3]!],
        components: match[4]!.split(/\s+/).filter(Boolean),
        ...(signedBy ? { signedBy } : {}),
      },
    ];
  });
}

function trimSlash(uri: string): string {
  return uri.replace(/\/+$/, '');
}

/** Other people's archives use Debian's codenames as well; their keys and paths tell them apart. */
function debianRank(source: AptSource): number {
  if (source.uri.startsWith('cdrom:') || !source.components.includes('main')) return 0;
  if (source.signedBy?.includes('debian-archive-')) return 3;
  if (source.signedBy) return 0;
  return /\/debian(-security)?$/.test(source.uri) ? 2 : 1;
}

/** The best source that offers `suite`, or undefined. */
function bestFor(sources: AptSource[], isSuite: (suite: string) => boolean): AptSource | undefined {
  return sources
    .filter((source) => debianRank(source) > 0 && source.suites.some(isSuite))
    .sort((a, b) => debianRank(b) - debianRank(a))[0];
}

/** Picks Debian's own archive among the machine's sources. Throws when there is none. */
export function pickDebianMirror(sources: AptSource[], codename: string): DebianMirror {
  const archive = bestFor(sources, (suite) => suite === codename || suite === 'stable');
  if (!archive) throw new Error(`apt sources: no entry for Debian ${codename} main on this machine`);
  const security = bestFor(
    sources,
    (suite) => suite === `${codename}-security` || suite === 'stable-security',
  );
  return {
    archiveUri: archive.uri,
    codename,
    ...(security ? { securityUri: security.uri } : {}),
  };
}

/** Reads the machine's apt sources and release and picks Debian's mirror. */
export function readDebianMirror(rootDirectory = '/'): DebianMirror {
  const release = readFileSync(join(rootDirectory, 'etc/os-release'), 'utf8');
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1];
  if (!codename) throw new Error('/etc/os-release: no VERSION_CODENAME: Debian 12 or 13 is needed');
  const apt = join(rootDirectory, 'etc/apt');
  const parts = join(apt, 'sources.list.d');
  const names = existsSync(parts) ? readdirSync(parts).sort() : [];
  const paths = [join(apt, 'sources.list'), ...names.map((name) => join(parts, name))];
  const files = paths
    .filter((path) => /\.(list|sources)$/.test(path) && existsSync(path))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }));
  return pickDebianMirror(parseAptSources(files), codename);
}

/** The keyring that Debian's own package brings; newer releases name it `.pgp`. */
export function debianKeyringPath(rootDirectory = '/'): string {
  const base = join(rootDirectory, 'usr/share/keyrings/debian-archive-keyring');
  return existsSync(`${base}.pgp`) ? `${base}.pgp` : `${base}.gpg`;
}
