/** One round: a plane is asked by several clients at once until it is killed, and the next one is asked again. */
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { pollUntil } from '../../../platform/deadline.ts';
import { ERROR_STATUS, type ErrorCode } from '../../../platform/errors.ts';
import type { Answer } from '../plane-process.ts';
import { nextStep, type Step } from './steps.ts';
import type { KilledPlane } from './world.ts';

const CLIENTS = 3;
/** Pieces between plane and guests after which it is killed, at most; and how much later, so that it is at work. */
const MAX_PIECES = 150;
const MAX_DELAY_MS = 25;
const STEPS_PER_CLIENT = 20;
const TIMEOUT_MS = 300_000;

/** Why an operation ends whose plane has ended: nothing is left of it. The second is the guest's word for that. */
const INTERRUPTED: ErrorCode[] = ['interrupted', 'runtime_failed'];

/** What was asked and not answered; with an operation, answered that it is under way. */
interface CutOff {
  step: Step;
  key: string;
  operation?: string;
}

interface Killing {
  isKilled: boolean;
  round: number;
}

const count = (counts: Map<string, number>, kind: string) => counts.set(kind, (counts.get(kind) ?? 0) + 1);

/** @param isAgain it may have been done already; DELETE knows no key */
function settle(world: KilledPlane, { step }: CutOff, { status, body }: Answer, isAgain = false): void {
  const { done, refused } = world.counts;
  const told = `${step.kind} ${step.path} ${JSON.stringify(step.body)}: ${status} ${JSON.stringify(body)}`;
  if (process.env.OFFLOAD_KILL_TOLD) console.log(told);
  if (status < 300 || (isAgain && step.method === 'DELETE' && status === 404)) {
    step.apply(body);
    count(done, step.kind);
  } else {
    assert.ok(step.mayRefuse && status === 409, told);
    count(refused, step.kind);
  }
}

/** As an answer, what became of an operation. @throws at once when the plane is gone */
async function endOf({ plane, operations }: KilledPlane, id: string): Promise<Answer> {
  const look = async () => {
    const asked = await plane.send('GET', `/v1/operations/${id}`).catch((error: Error) => error);
    return asked instanceof Error || asked.body.phase !== 'running' ? asked : undefined;
  };
  const wait = { timeoutMs: TIMEOUT_MS, intervalMs: 50, what: `the end of operation ${id}` };
  const answer = await pollUntil(look, wait);
  if (answer instanceof Error) throw answer;
  const { status, body } = answer;
  assert.is(status, 200, `operation ${id} is known: ${JSON.stringify(body)}`);
  operations.set(id, { ended: body });
  const { phase, result, error } = body;
  return phase === 'succeeded'
    ? { status: 200, body: result }
    : { status: ERROR_STATUS[error.code as ErrorCode], body: error };
}

/** @returns what was not answered, as the plane was killed */
async function ask(
  world: KilledPlane,
  step: Step,
  key: string,
  killing: Killing,
): Promise<CutOff | undefined> {
  const own: CutOff = { step, key };
  for (const name of step.holds) world.held.add(name);
  try {
    await carryOut(world, own);
  } catch (error) {
    if (!killing.isKilled || error instanceof assert.Assertion) throw error;
    return own;
  }
  for (const name of step.holds) world.held.delete(name);
  return undefined;
}

async function carryOut(world: KilledPlane, own: CutOff): Promise<void> {
  const { plane, operations } = world;
  const { step, key } = own;
  const more = step.isAsync ? { prefer: 'respond-async' } : {};
  let answer = await plane.send(step.method, step.path, step.body, key, more);
  if (answer.status === 202) {
    own.operation = answer.body.id;
    operations.set(answer.body.id, {});
    answer = await endOf(world, answer.body.id);
  }
  settle(world, own, answer);
  if (step.kind === 'drain') await uncordon(world);
}

async function uncordon({ plane, machines }: KilledPlane): Promise<void> {
  for (const { registration } of machines) {
    const { status } = await plane.send('POST', `/v1/guests/${registration.name}/uncordon`);
    assert.is(status, 200);
  }
}

async function client(world: KilledPlane, number: number, killing: Killing): Promise<CutOff[]> {
  for (let asked = 0; asked < STEPS_PER_CLIENT && !killing.isKilled; ) {
    const step = nextStep(world);
    if (step === undefined) {
      // The others are busy with it.
      await delay(2);
      continue;
    }
    asked += 1;
    const cutOff = await ask(world, step, `round-${killing.round}-${number}-${asked}`, killing);
    if (cutOff) return [cutOff];
  }
  return [];
}

async function untilKilled(world: KilledPlane, round: number): Promise<CutOff[]> {
  const { draw, plane, machines } = world;
  const killing: Killing = { isKilled: false, round };
  const delayMs = draw(MAX_DELAY_MS);
  let left = 1 + draw(MAX_PIECES);
  const kill = () => {
    killing.isKilled = true;
    plane.kill();
  };
  const onPiece = () => {
    left -= 1;
    if (left === 0) setTimeout(kill, delayMs);
  };
  for (const machine of machines) machine.onPiece = onPiece;
  const clients = Array.from({ length: CLIENTS }, (_, number) => client(world, number, killing));
  const cutOff = (await Promise.all(clients)).flat();
  for (const machine of machines) machine.onPiece = undefined;
  kill();
  await plane.ended();
  return cutOff;
}

/** Containers end while nobody looks. */
function endSome({ draw, machines, models, held }: KilledPlane): void {
  for (const model of models.values()) {
    const isKnown = model.phase === 'running' && !model.isArriving && !held.has(model.name);
    if (!isKnown || held.has('*') || draw(5) > 0) continue;
    const machine = machines.find(({ registration }) => registration.name === model.guest)!;
    machine.world.leaveExit(model.id!, draw(4));
    model.phase = 'stopped';
    model.parent = undefined;
  }
}

async function askAgain(world: KilledPlane, cutOff: CutOff): Promise<void> {
  const { step, operation } = cutOff;
  if (operation !== undefined) {
    const answer = await endOf(world, operation);
    if (INTERRUPTED.includes(answer.body?.code)) {
      step.cutOff?.();
      count(world.counts.refused, `${step.kind}, ${answer.body.code}`);
    } else settle(world, cutOff, answer);
  } else {
    step.cutOff?.();
    settle(world, cutOff, await answerTo(world, cutOff), true);
  }
}

/** As soon as what was cut off is finished or undone. */
async function answerTo(world: KilledPlane, { step, key }: CutOff): Promise<Answer> {
  const { method, path, body, isAsync } = step;
  const more = isAsync ? { prefer: 'respond-async' } : {};
  const send = async () => {
    const answer = await world.plane.send(method, path, body, key, more);
    return answer.status === ERROR_STATUS.interrupted ? undefined : answer;
  };
  const answer = await pollUntil(send, {
    timeoutMs: TIMEOUT_MS,
    intervalMs: 50,
    what: `the answer to ${key}`,
  });
  return answer.status === 202 ? await endOf(world, answer.body.id) : answer;
}

/** Everything is as somebody was told when this is over, or will be. */
export async function liveThroughRound(world: KilledPlane, round: number): Promise<void> {
  const cutOff = await untilKilled(world, round);
  endSome(world);
  await world.plane.start();
  for (const own of cutOff) await askAgain(world, own);
  world.held.clear();
  world.toDrain = undefined;
  await uncordon(world);
}
