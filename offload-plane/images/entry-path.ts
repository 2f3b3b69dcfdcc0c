/** Paths inside tars come from strangers: they are taken apart here, and nowhere else. */

/** Half of what Linux takes: it also has to fit below a directory of ours. */
const PATH_BYTES_MAX = 2048;
/** Deeper than anything people make; what walks a tree takes its time, and its stack, by depth. */
const PATH_DEPTH_MAX = 128;
/** NAME_MAX of Linux. */
const NAME_BYTES_MAX = 255;

/**
 * The path as segments below the root, or undefined when it could name something outside it
 * (absolute, a `..`, a NUL), or is longer or deeper than a path may be. `./a//b/` gives `['a', 'b']`; the root itself gives `[]`.
 */
export function entrySegments(name: string): string[] | undefined {
  if (name.startsWith('/') || name.includes('\0') || Buffer.byteLength(name) > PATH_BYTES_MAX)
    return undefined;
  const segments = name.split('/').filter((segment) => segment !== '' && segment !== '.');
  const fits = segments.length <= PATH_DEPTH_MAX && segments.every(isName);
  return fits ? segments : undefined;
}

const isName = (segment: string) => segment !== '..' && Buffer.byteLength(segment) <= NAME_BYTES_MAX;

/** A name that a stranger chose, made fit for a one-line message. */
export function printable(name: string): string {
  const short = name.length > 120 ? `${name.slice(0, 120)}…` : name;
  return JSON.stringify(short);
}
