/** Tests that need real CRIU: where there is none they say so, and do not pass. */
import { test } from 'uvu';
import { criuMissing } from '../../testbed/native/criu-world.ts';

export { criuMissing };

export function criuTest(title: string, body: () => Promise<void>): void {
  if (criuMissing === '') test(title, body);
  else console.log(`skipped: ${title}: ${criuMissing}`);
}
