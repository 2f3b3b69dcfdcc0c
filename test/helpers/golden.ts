/** Frames of the page protocol as bytes, the same for TypeScript and C. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const GOLDEN_DIRECTORY = join(import.meta.dirname, '../../interconnect/golden');

export const golden = (name: string): Buffer => readFileSync(join(GOLDEN_DIRECTORY, `${name}.bin`));
