/**
 * Gives memory back to the guest once there is nothing to do: V8 collects when it needs room, and an agent
 * that does nothing needs none, so what its start and its last work have left would stay for ever.
 */
const LOOK_AFTER_MS = 5_000;
/** Less than that between two looks is an agent at rest: it answers the plane's pings. */
const REST_CPU_US = 50_000;
/** What has to have been done since the last collection for another one to be worth it: this much at least, */
const WORK_CPU_US = 200_000;
/** and so many times what the last one took, which in an emulated guest is seconds. */
const WORK_PER_COLLECTION = 10;

export interface IdleCollectionDeps {
  collect(): void;
  /** Processor time of this process so far. */
  cpuUs(): number;
  /** Calls it once, after a while. */
  later(look: () => void): void;
}

/** @returns to be called when there was work: an agent that is left alone is not woken. */
export function createIdleCollection({ collect, cpuUs, later }: IdleCollectionDeps): () => void {
  let atLastLook = cpuUs();
  let atLastCollection = 0;
  let neededUs = WORK_CPU_US;
  let isDue = false;

  function look(): void {
    isDue = false;
    const now = cpuUs();
    const isAtRest = now - atLastLook < REST_CPU_US;
    atLastLook = now;
    if (!isAtRest) lookLater();
    else if (now - atLastCollection >= neededUs) {
      collect();
      // Its own time is no work.
      atLastCollection = atLastLook = cpuUs();
      neededUs = Math.max(WORK_CPU_US, WORK_PER_COLLECTION * (atLastCollection - now));
    }
  }

  function lookLater(): void {
    if (isDue) return;
    isDue = true;
    later(look);
  }

  lookLater();
  return lookLater;
}

/** Where Node was started with `--expose-gc`; elsewhere memory is as V8 leaves it. */
export function collectWhenIdle(): () => void {
  const { gc } = globalThis;
  if (gc === undefined) return () => {};
  return createIdleCollection({
    collect: () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
    cpuUs() {
      const { user, system } = process.cpuUsage();
      return user + system;
    },
    later: (look) => void setTimeout(look, LOOK_AFTER_MS).unref(),
  });
}
