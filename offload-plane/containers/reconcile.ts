/** What the plane has on record of a guest's containers, held against what their agent says. Pure. */
import type { ContainerState as AgentState } from '../../interconnect/agent-api.ts';
import type { PlanePhase } from './container.ts';

export interface Recorded {
  id: string;
  phase: PlanePhase;
}

export interface Correction {
  id: string;
  phase: PlanePhase;
  exitCode?: number;
}

/**
 * @param recorded without those to which something is being done
 * @param listed by the agent, after every event until then was told
 */
export function reconcile(recorded: readonly Recorded[], listed: readonly AgentState[]): Correction[] {
  const known = new Map(listed.map((state) => [state.id, state]));
  return recorded.flatMap(({ id, phase }): Correction[] => {
    const state = known.get(id);
    // A stopped container has nothing to lose; what is left of one in the guest went with it.
    if (!state) return phase === 'stopped' || phase === 'lost' ? [] : [{ id, phase: 'lost' }];
    if (state.phase === phase) return [];
    return [
      { id, phase: state.phase, ...(state.exitCode === undefined ? {} : { exitCode: state.exitCode }) },
    ];
  });
}
