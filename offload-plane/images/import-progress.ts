/** An import's progress as a line for people, and how much of the phase is done. */
import type { ImportProgress } from './import-image.ts';

const MIB = 1024 * 1024;
const TEXTS: Readonly<Record<ImportProgress['phase'], string>> = {
  resolve: 'asking the registry',
  pull: 'fetching layers',
  upload: 'receiving the archive',
  expand: 'expanding the archive',
  convert: 'converting the archive',
  verify: 'verifying layers',
  unpack: 'unpacking layers',
  build: 'building the block image',
};

export function describeProgress({ phase, doneBytes, totalBytes }: ImportProgress): {
  text: string;
  fraction?: number;
} {
  const text = TEXTS[phase];
  if (doneBytes === undefined) return { text };
  const done = Math.floor(doneBytes / MIB);
  if (!totalBytes) return { text: `${text}: ${done} MiB` };
  return {
    text: `${text}: ${done} of ${Math.ceil(totalBytes / MIB)} MiB`,
    fraction: doneBytes / totalBytes,
  };
}
