import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AnsweredCall, agentSpan } from '../../../offload-plane/tracing/agent-spans.ts';

const CALL: AnsweredCall = {
  ...{ call: 'restoreContainer', guest: 'guest-a', startMs: 1_000, endMs: 1_100 },
  serverTiming: 'agent;dur=80.000',
  answer: { preparedMs: 10, pagerReadyMs: 30, runningMs: 75 },
};
const timesOf = (call: Partial<AnsweredCall>) => {
  const span = agentSpan({ ...CALL, ...call })!;
  return [span, ...span.children!].map(({ name, startMs, endMs }) => [name, startMs, endMs]);
};

test("the agent's time lies in the middle of the call, its phases one after the other", () => {
  assert.equal(timesOf({}), [
    ['restoreContainer', 1_010, 1_090],
    ['prepare container', 1_010, 1_020],
    ['wait for pager', 1_020, 1_040],
    ['criu restore', 1_040, 1_085],
  ]);
  assert.equal(timesOf({ call: 'checkpointContainer', answer: { dumpMs: 60 } }).at(-1), [
    'criu dump',
    1_030,
    1_090,
  ]);
});

test('an agent that claims more than the call took, or times out of order, gets no span outside of it', () => {
  const answer = { preparedMs: 1e12, pagerReadyMs: -5, runningMs: 1e300 };
  for (const [, startMs, endMs] of timesOf({ serverTiming: 'agent;dur=999999999', answer })) {
    assert.ok(1_000 <= Number(startMs) && Number(startMs) <= Number(endMs) && Number(endMs) <= 1_100);
  }
});

test('what is no timing is not taken', () => {
  for (const serverTiming of [
    undefined,
    '',
    'agent',
    'agent;dur=-1',
    'agent;dur=1e9',
    'agent;dur=1, x;dur=2',
  ]) {
    assert.is(agentSpan({ ...CALL, serverTiming }), undefined);
  }
});

test.run();
