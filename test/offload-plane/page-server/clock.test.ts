import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { REAL_CLOCK } from '../../../offload-plane/page-server/clock.ts';
import { until } from '../../helpers/until.ts';

const isAwake = () => process.getActiveResourcesInfo().includes('Immediate');

test('the event loop stays awake for as long as was asked for, and then sleeps again', async () => {
  const startMs = performance.now();
  REAL_CLOCK.stayAwake?.(30);
  REAL_CLOCK.stayAwake?.(1);
  assert.ok(isAwake());
  await until('it sleeps', () => !isAwake());
  assert.ok(performance.now() - startMs >= 30);
});

test.run();
