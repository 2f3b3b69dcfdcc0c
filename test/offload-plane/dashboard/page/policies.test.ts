import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { figuresByPolicy } from '../../../../offload-plane/dashboard/page/policies.ts';

test('each policy has the median of what answered, by what was done in the end', () => {
  const figures = figuresByPolicy([
    { effectivePolicy: 'lazy', firstResponseMs: 30 },
    { effectivePolicy: 'lazy', firstResponseMs: 10 },
    { effectivePolicy: 'lazy' },
    { effectivePolicy: 'ordered', firstResponseMs: 5 },
    { effectivePolicy: 'ordered', firstResponseMs: 7 },
    { effectivePolicy: 'ordered', firstResponseMs: 6 },
    { effectivePolicy: 'eager' },
  ]);
  assert.equal(figures, [
    { policy: 'ordered', restoreCount: 3, lowestMs: 5, medianMs: 6, highestMs: 7 },
    { policy: 'lazy', restoreCount: 2, lowestMs: 10, medianMs: 20, highestMs: 30 },
  ]);
});

test.run();
