/** Which events an agent that was killed owes: what happened by now and is not in its log. */
import type { AgentEvent } from '../interconnect/agent-api.ts';
import type { Life } from './life.ts';

type Kind = AgentEvent['event'];

/**
 * A record is written before its event, so at most the event of the last change is missing, and all that has
 * happened since.
 * @param last the container's last event that is kept; a log that `hasForgotten` may have had others
 * @param recorded its life as the record has it
 * @param now as it is found
 */
export function missingEvents(
  last: Kind | undefined,
  hasForgotten: boolean,
  recorded: Life,
  now: Life,
): Kind[] {
  const hasEnded = last === 'exited' || last === 'checkpointed';
  const wasTold = last !== undefined || hasForgotten;
  if (now.phase === 'stopped') {
    if (hasEnded || (recorded.phase === 'stopped' && last === undefined && hasForgotten)) return [];
    return wasTold ? ['exited'] : [beginningOf(recorded), 'exited'];
  }
  const began: Kind[] = wasTold && !hasEnded ? [] : [beginningOf(recorded)];
  const latest = began[0] ?? last;
  return now.phase !== 'created' && latest === 'created' ? [...began, 'started'] : began;
}

/** A container that its record shows beyond `created` without any event has come from a restore. */
function beginningOf(recorded: Life): Kind {
  return recorded.phase === 'running' || recorded.phase === 'paused' ? 'restored' : 'created';
}
