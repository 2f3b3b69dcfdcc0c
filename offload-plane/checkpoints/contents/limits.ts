/** Bounds of what is told of a checkpoint: its images are a guest's, and could name the same thing very often. */
import { OffloadError } from '../../../platform/errors.ts';
import { MIB } from '../../../platform/units.ts';

/** A process with as many mappings as Linux grants has some 4 MiB of them. */
export const MAX_IMAGE_BYTES = 16 * MIB;
/** Of all images of one checkpoint that are read; one that is named twice counts twice. */
export const MAX_IMAGES_TOTAL_BYTES = 64 * MIB;
export const MAX_COMMAND_BYTES = 64 * 1024;
/** Processes, arguments, threads, handles, what they watch, and mappings of one checkpoint together. */
const MAX_LISTED = 1 << 18;
/** Of all that is told in words: a name is stored once, and told wherever something has it. */
const MAX_TEXT_CHARACTERS = 32 * MIB;

export interface Budget {
  /** @throws {OffloadError} invalid_checkpoint, when that is more than can be told */
  spend(count: number): void;
  /** @throws {OffloadError} invalid_checkpoint, when the texts in it are more than can be told */
  spendTextsOf(told: object): void;
}

export function createBudget(checkpoint: string): Budget {
  let left = MAX_LISTED;
  let charactersLeft = MAX_TEXT_CHARACTERS;
  const tooMuch = (what: string) =>
    new OffloadError('invalid_checkpoint', `inspect checkpoint ${checkpoint}: more than ${what}`);
  return {
    spend(count) {
      left -= count;
      if (left < 0) throw tooMuch(`${MAX_LISTED} processes, threads, handles and mappings`);
    },
    spendTextsOf(told) {
      charactersLeft -= textLength(told);
      if (charactersLeft < 0) throw tooMuch(`${MAX_TEXT_CHARACTERS} characters of names`);
    },
  };
}

function textLength(told: unknown): number {
  if (typeof told === 'string') return told.length;
  if (typeof told !== 'object' || told === null) return 0;
  return Object.values(told).reduce((sum: number, value) => sum + textLength(value), 0);
}
