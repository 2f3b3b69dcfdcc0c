/** Paths inside tars come from strangers: they are taken apart here, and nowhere else. */

const PATH_BYTES_MAX = 4096;

/**
 * The path as segments below the root, or undefined when it could name something outside it
 * (absolute, a `..`, a NUL) or is longer than a path may be. `./a//b/` gives `['a', 'b']`; the root itself gives `[]`.
 */
export function entrySegments(name: string): string[] | undefined {
  if (name.startsWith('/') || name.includes('\0') || Buffer.byteLength(name) > PATH_BYTES_MAX)
    return undefined;
  const segments = name.split('/').filter((segment) => segment !== '' && segment !== '.');
  return segments.includes('..') ? undefined : segments;
}

/** A name that a stranger chose, made fit for a one-line message. */
export function printable(name: string): string {
  const short = name.length > 120 ? `${name.slice(0, 120)}…` : name;
  return JSON.stringify(short);
}
