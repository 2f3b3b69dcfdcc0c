/**
 * Gives memory back to the guest once there is nothing to do: V8 collects when it needs room, and an agent
 * that does nothing needs none, so what its start and its last work have left would stay for ever.
 */
const LOOK_INTERVAL_MS = 5_000;
/** Less than that in an interval is an agent at rest: it answers the plane's pings. */
const REST_CPU_US = 50_000;
/** What has to have been done since the last collection for another one to be worth it. */
const WORK_CPU_US = 200_000;

export interface IdleCollectionDeps {
  collect(): void;
  /** Processor time of this process so far. */
  cpuUs(): number;
}

/** Looks once; to be called at intervals. */
export function createIdleCollection({ collect, cpuUs }: IdleCollectionDeps): () => void {
  let atLastLook = cpuUs();
  let atLastCollection = 0;
  return () => {
    const now = cpuUs();
    const isAtRest = now - atLastLook < REST_CPU_US;
    atLastLook = now;
    if (!isAtRest || now - atLastCollection < WORK_CPU_US) return;
    collect();
    // Its own time is no work.
    atLastCollection = atLastLook = cpuUs();
  };
}

/** Where Node was started with `--expose-gc`; elsewhere memory is as V8 leaves it. */
export function collectWhenIdle(): void {
  const { gc } = globalThis;
  if (gc === undefined) return;
  const look = createIdleCollection({
    collect: () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
    cpuUs() {
      const { user, system } = process.cpuUsage();
      return user + system;
    },
  });
  setInterval(look, LOOK_INTERVAL_MS).unref();
}
