/** Which name means which image: one small file, replaced as a whole, so that a name never means two. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { OffloadError } from '../../platform/errors.ts';
import { replaceSynced } from './durable-file.ts';

export const NAMES_FILE = 'names.json';
const NAME = /^[a-z0-9]+([._/:-]{1,2}[a-z0-9]+)*$/i;
const NAME_LENGTH_MAX = 200;

const NamesFile = Type.Object(
  { formatVersion: Type.Literal(1), names: Type.Record(Type.String(), Type.String()) },
  { additionalProperties: false },
);

export interface ImageNames {
  /** In the order in which they were given. */
  of(digest: string): string[];
  digestOf(name: string): string | undefined;
  /** Gives the names to the image, also those that another had. */
  assign(given: readonly string[], digest: string): Promise<void>;
  /** Takes the names away. */
  release(names: readonly string[]): Promise<void>;
}

/** @throws {OffloadError} invalid_request when the name is none */
export function checkName(name: string, operation: string): void {
  if (name.length <= NAME_LENGTH_MAX && NAME.test(name) && !name.startsWith('sha256:')) return;
  const shown = JSON.stringify(name.slice(0, 80));
  throw new OffloadError(
    'invalid_request',
    `${operation}: the image name ${shown} is not made of letters, digits and single . _ / : - between them, at most ${NAME_LENGTH_MAX} characters`,
  );
}

/** Names of images that are not there (any more) are forgotten. */
export async function openImageNames(options: {
  directory: string;
  digests: ReadonlySet<string>;
  nameCountMax: number;
}): Promise<ImageNames> {
  const path = join(options.directory, NAMES_FILE);
  let names = new Map((await readNames(path)).filter(([, digest]) => options.digests.has(digest)));

  async function replace(next: Map<string, string>): Promise<void> {
    const file = { formatVersion: 1, names: Object.fromEntries(next) };
    await replaceSynced(path, `${JSON.stringify(file, undefined, 2)}\n`);
    names = next;
  }

  return {
    of: (digest) => [...names].filter(([, owner]) => owner === digest).map(([name]) => name),
    digestOf: (name) => names.get(name),
    async assign(given, digest) {
      if (given.every((name) => names.get(name) === digest)) return;
      const next = new Map(names);
      for (const name of given) next.set(name, digest);
      if (next.size > Math.max(names.size, options.nameCountMax)) {
        throw new OffloadError(
          'no_space',
          `name image ${given.join(', ')}: the limit is ${options.nameCountMax} names`,
        );
      }
      await replace(next);
    },
    async release(released) {
      await replace(new Map([...names].filter(([name]) => !released.includes(name))));
    },
  };
}

async function readNames(path: string): Promise<[string, string][]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (Value.Check(NamesFile, value)) return Object.entries(value.names);
  throw new OffloadError(
    'internal',
    `open image store: ${path}: is damaged; remove it to go on with images by digest`,
  );
}
