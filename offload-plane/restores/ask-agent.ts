/** What an agent says of a restore whose plane is gone. */
import type { RestoreRequest as AgentRequest, RestoreResult } from '../../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import type { Guest } from '../guests/guest.ts';

export type Found =
  /** The container is there, and its pages may be on their way. */
  { is: 'there'; pagesMissing: boolean; timings?: RestoreResult } | { is: 'gone'; reason: OffloadError };

export interface Question {
  guest: Guest;
  container: { id: string; name: string };
  timeoutMs: number;
  /** What the agent was asked for, under this id, if it has not answered to anybody yet. */
  unanswered?: { body: AgentRequest; requestId: string };
}

/** @throws {OffloadError} guest_lost when it cannot be asked */
export async function askAgent({ guest, container, timeoutMs, unanswered }: Question): Promise<Found> {
  const { id, name } = container;
  const operation = `restore container ${name}`;
  const params = { id };
  try {
    let timings: RestoreResult | undefined;
    // Only of one that it knows: what it never began is not begun now.
    let state = await guest.agent
      .call('inspectContainer', undefined, { params, timeoutMs })
      .catch((error: unknown) => sayUnknown(error, operation));
    if (unanswered) {
      const { body, requestId } = unanswered;
      timings = await guest.agent
        .call('restoreContainer', body, { params, timeoutMs, requestId })
        .catch(ignoreTaken);
      state = await guest.agent.call('inspectContainer', undefined, { params, timeoutMs });
    }
    const { phase, pagesMissing = false } = state;
    if (phase === 'running' || phase === 'paused') {
      return { is: 'there', pagesMissing, ...(timings ? { timings } : {}) };
    }
    throw new OffloadError('interrupted', `${operation}: it is ${phase} in its guest`);
  } catch (error) {
    const reason = toOffloadError(error, operation);
    if (reason.code === 'guest_lost') throw reason;
    return { is: 'gone', reason };
  }
}

function sayUnknown(error: unknown, operation: string): never {
  if (!(error instanceof OffloadError && error.code === 'not_found')) throw error;
  const reason = `${operation}: the plane ended, and its guest has nothing of it`;
  throw new OffloadError('interrupted', reason, { cause: error });
}

/** An agent that was started again has forgotten what it had answered, and not which containers it has. */
function ignoreTaken(error: unknown): undefined {
  if (error instanceof OffloadError && error.code === 'already_exists') return undefined;
  throw error;
}
