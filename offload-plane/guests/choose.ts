/** The guest for a container that names none: of those that take new ones, the one with the most free memory. */
import { OffloadError } from '../../platform/errors.ts';

export interface Candidate {
  name: string;
  ready: boolean;
  cordoned: boolean;
  /** Bytes as last reported, less what was promised to containers since. */
  freeBytes: number;
}

/** @throws {OffloadError} invalid_state when no guest takes it; the message says why of each */
export function chooseGuest(candidates: readonly Candidate[], operation: string): string {
  const open = candidates.filter(({ ready, cordoned }) => ready && !cordoned);
  const [best] = open.sort((a, b) => b.freeBytes - a.freeBytes || (a.name < b.name ? -1 : 1));
  if (best) return best.name;
  if (candidates.length === 0) {
    throw new OffloadError('invalid_state', `${operation}: there is no guest; register one`);
  }
  const reasons = candidates.map(({ name, ready }) => `${name} is ${ready ? 'cordoned' : 'lost'}`);
  throw new OffloadError('invalid_state', `${operation}: no guest takes it: ${reasons.join(', ')}`);
}
