/** The keys that leave a terminal without ending what runs there: `ctrl-p,ctrl-q`, as Docker writes them. */
import { OffloadError } from '../../../platform/errors.ts';

export const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q';

const CONTROL: Record<string, number> = { '@': 0, '[': 27, '\\': 28, ']': 29, '^': 30, _: 31 };

/** @throws {OffloadError} invalid_request for what is no list of keys */
export function parseDetachKeys(text: string): Buffer {
  if (text === '') return Buffer.alloc(0);
  return Buffer.from(text.split(',').map(keyOf));
}

function keyOf(name: string): number {
  const control = /^ctrl-(.)$/i.exec(name)?.[1];
  if (control !== undefined) {
    const code = /[a-z]/i.test(control) ? control.toLowerCase().charCodeAt(0) - 96 : CONTROL[control];
    if (code !== undefined) return code;
  } else if (/^[\x20-\x7e]$/.test(name)) {
    return name.charCodeAt(0);
  }
  throw new OffloadError(
    'invalid_request',
    `detach keys: ${JSON.stringify(name)} is neither a character nor ctrl- and one of a-z @ [ \\ ] ^ _`,
  );
}

export interface Typed {
  /** What goes on to the program. */
  forward: Buffer;
  detached: boolean;
}

/** Holds back what may be the beginning of the keys, until it is them or is not. */
export function createDetachMatcher(keys: Buffer): (typed: Buffer) => Typed {
  let matched = 0;
  return (typed) => {
    const forward: number[] = [];
    for (const byte of keys.length === 0 ? [] : typed) {
      if (byte === keys[matched]) {
        matched += 1;
        if (matched === keys.length) return { forward: Buffer.from(forward), detached: true };
        continue;
      }
      // The keys may begin within what has just turned out not to be them.
      const held = [...keys.subarray(0, matched), byte];
      matched = 0;
      while (held.length > 0 && !startsWith(keys, held)) forward.push(held.shift() ?? 0);
      matched = held.length;
    }
    return { forward: keys.length === 0 ? typed : Buffer.from(forward), detached: false };
  };
}

const startsWith = (keys: Buffer, held: readonly number[]) => held.every((byte, at) => keys[at] === byte);
