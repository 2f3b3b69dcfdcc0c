import fc from 'fast-check';
import { Value } from 'typebox/value';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Policies } from '../../../offload-plane/containers/policies.ts';
import { policiesOf } from '../../../offload-plane/containers/recipe.ts';
import { runConfig } from '../../../offload-plane/images/image-config.ts';
import type { ImageRecord } from '../../../offload-plane/images/image-store.ts';
import { ImageConfig } from '../../../offload-plane/images/oci-schema.ts';

const request = { image: 'web' };
const recordOf = (config: object): ImageRecord => {
  const document = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, config };
  assert.ok(Value.Check(ImageConfig, document));
  return { config: runConfig(document, '0:0') } as ImageRecord;
};

test('a health check of an image is probed as often as a probe can be, and no oftener', () => {
  const Healthcheck = {
    Test: ['CMD', 'true'],
    Interval: 1,
    Timeout: 1,
    StartPeriod: Number.MAX_SAFE_INTEGER,
  };
  assert.equal(policiesOf(request, recordOf({ Healthcheck })).healthCheck, {
    exec: { command: ['true'] },
    intervalMs: 100,
    timeoutMs: 10,
    startPeriodMs: 86_400_000,
  });
});

test('a stop signal that Linux does not have is refused, and of an image on record left out', () => {
  const { config } = recordOf({});
  const keptAs = (stopSignal: string) => ({ config: { ...config, stopSignal } }) as ImageRecord;
  assert.is(policiesOf(request, keptAs('SIGFOO')).stopSignal, undefined);
  assert.is(policiesOf(request, keptAs('SIGQUIT')).stopSignal, 'SIGQUIT');
  assert.is(policiesOf({ ...request, stopSignal: 'SIGRTMIN+3' }, keptAs('SIGFOO')).stopSignal, 'SIGRTMIN+3');
  assert.throws(
    () => policiesOf({ ...request, stopSignal: 'SIGFOO' }, keptAs('SIGQUIT')),
    /^create container of image web: stop signal: there is no signal SIGFOO$/,
  );
});

test('whatever an image’s configuration may say, the next plane can read what is on record of its container', () => {
  const nanoseconds = fc.maxSafeNat();
  const Healthcheck = fc.record(
    {
      Test: fc
        .tuple(
          fc.constantFrom('CMD', 'CMD-SHELL', 'NONE'),
          fc.array(fc.string({ maxLength: 4_096, size: 'max' }), { maxLength: 127, size: 'max' }),
        )
        .map(([kind, words]) => [kind, ...words]),
      Interval: nanoseconds,
      Timeout: nanoseconds,
      StartPeriod: nanoseconds,
      Retries: fc.nat(1_000),
    },
    { requiredKeys: ['Test'] },
  );
  const StopSignal = fc.oneof(fc.string({ maxLength: 32 }), fc.stringMatching(/^(SIG)?[A-Z0-9+-]{1,20}$/));
  fc.assert(
    fc.property(fc.record({ Healthcheck, StopSignal }), (config) => {
      const policies = policiesOf(request, recordOf(config));
      const [problem] = Value.Errors(Policies, JSON.parse(JSON.stringify(policies)));
      assert.is(problem, undefined, JSON.stringify(problem));
    }),
    { numRuns: 60 },
  );
});

test.run();
