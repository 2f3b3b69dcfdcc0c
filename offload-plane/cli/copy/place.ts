/** Where a copy goes, by the rules of `docker cp`. */
import { posix } from 'node:path';
import { OffloadError } from '../../../platform/errors.ts';

/** `container:path`, a local path, or `-` for a tar on the standard streams. */
export type CopyEnd =
  | { kind: 'container'; container: string; path: string }
  | { kind: 'local'; path: string }
  | { kind: 'tar' };

export function parseEnd(text: string): CopyEnd {
  if (text === '-') return { kind: 'tar' };
  const match = /^([a-zA-Z0-9][a-zA-Z0-9_.-]*):(.*)$/s.exec(text);
  if (!match) return { kind: 'local', path: text };
  const [, container = '', path = ''] = match;
  return { kind: 'container', container, path: path.startsWith('/') ? path : `/${path}` };
}

export interface Placed {
  /** A directory that is there. */
  directory: string;
  /** What the first name of every path becomes; `.` puts the contents of a directory there. */
  name: string;
}

export interface Target {
  path: string;
  kind: 'directory' | 'other' | 'missing';
}

/** @throws {OffloadError} invalid_request where a directory would have to be a file */
export function place(source: { path: string; isDirectory: boolean }, target: Target): Placed {
  const isContents = source.isDirectory && /(^|\/)\.$/.test(source.path);
  const name = posix.basename(posix.resolve('/', source.path)) || '.';
  if (target.kind === 'directory') return { directory: target.path, name: isContents ? '.' : name };
  if (target.path.endsWith('/') && !source.isDirectory) {
    throw new OffloadError('not_found', `copy to ${target.path}: there is no such directory`);
  }
  if (target.kind === 'other' && source.isDirectory) {
    throw new OffloadError(
      'invalid_request',
      `copy to ${target.path}: a directory cannot take a file's place`,
    );
  }
  const path = target.path.replace(/\/+$/, '');
  return { directory: posix.dirname(path), name: posix.basename(path) };
}
