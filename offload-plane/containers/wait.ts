/** Waits for a container's end. */
import type { Container, PlanePhase } from './container.ts';

const isOver = (phase: PlanePhase): boolean => phase === 'stopped' || phase === 'lost';

/** Whether it ended, or was lost, within the time. */
export function untilStopped(container: Container, timeoutMs: number): Promise<boolean> {
  if (isOver(container.phase)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const finish = (ended: boolean) => {
      clearTimeout(timer);
      container.onPhase.delete(check);
      resolve(ended);
    };
    const check = (phase: PlanePhase) => {
      if (isOver(phase)) finish(true);
    };
    const timer = setTimeout(() => finish(false), timeoutMs);
    container.onPhase.add(check);
  });
}
