/**
 * Writes one frame of every type to golden/<name>.bin. Run it only when the protocol changes: the tests
 * of both languages hold the files against what they encode.
 *   node interconnect/golden/write-golden.ts
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenFrames } from './frames.ts';

for (const [name, bytes] of Object.entries(goldenFrames())) {
  writeFileSync(join(import.meta.dirname, `${name}.bin`), bytes);
}
