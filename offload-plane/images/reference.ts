/** Names of images in registries: `[registry/]repository[:tag][@digest]`, taken apart and checked. */
import { OffloadError } from '../../platform/errors.ts';

export interface Reference {
  /** With its registry, where one is named. */
  repository: string;
  tag?: string;
  digest?: string;
}

export const DEFAULT_TAG = 'latest';
const LENGTH_MAX = 512;
/** One component may be a registry's host with its port; only the first one can be. */
const REPOSITORY = /^[a-z0-9]+([._-]{1,2}[a-z0-9]+)*(:\d{1,5}(?=\/))?(\/[a-z0-9]+([._-]{1,2}[a-z0-9]+)*)*$/i;
const TAG = /^[a-z0-9][a-z0-9._-]{0,127}$/i;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** @throws {OffloadError} invalid_request */
export function parseReference(text: string): Reference {
  const [named = '', digest, ...more] = text.split('@');
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const repository = hasTag ? named.slice(0, colon) : named;
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  const fits =
    text.length <= LENGTH_MAX &&
    more.length === 0 &&
    REPOSITORY.test(repository) &&
    (tag === undefined || TAG.test(tag)) &&
    (digest === undefined || DIGEST.test(digest));
  if (!fits) {
    const shown = JSON.stringify(text.slice(0, 120));
    throw new OffloadError(
      'invalid_request',
      `pull image: ${shown} is no [registry/]repository[:tag][@sha256:digest]`,
    );
  }
  return { repository, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** The name under which a pulled image is kept; none for one that is asked for by its digest alone. */
export function tagName({ repository, tag, digest }: Reference): string | undefined {
  if (tag === undefined && digest !== undefined) return undefined;
  return `${repository}:${tag ?? DEFAULT_TAG}`;
}

/** `repository@digest`, which can mean nothing else ever. */
export const digestName = (repository: string, digest: string): string => `${repository}@${digest}`;

/** Whether a name of the store is a `repository@digest`. */
export const isDigestName = (name: string): boolean => name.includes('@');
