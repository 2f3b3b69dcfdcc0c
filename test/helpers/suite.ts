/** uvu's suites, with one thing mended: what a `before` throws is told. uvu itself keeps it, and runs no test. */
import { type Context, type Test, suite as uvuSuite, test as uvuTest } from 'uvu';

export const suite = <T = Context>(name: string): Test<T> => tellingOfSetUp(uvuSuite<T>(name));

export const test = tellingOfSetUp(uvuTest);

function tellingOfSetUp<T>(tests: Test<T>): Test<T> {
  const { before } = tests;
  const telling = (setUp: Parameters<typeof before>[0]) =>
    before(async (context) => {
      try {
        await setUp(context);
      } catch (error) {
        console.error('the set-up failed:', error);
        throw error;
      }
    });
  return Object.assign(tests, { before: Object.assign(telling, { each: before.each }) });
}
