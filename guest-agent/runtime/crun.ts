/** crun, one verb a function; argv only, the runner is injected. */
import type { RunProgram } from '../run-program.ts';

export const CRUN = '/usr/bin/crun';

/** Options before the verb: no systemd in the guest, so crun drives cgroups itself. */
export const crunGlobalArgs = (root: string) => ['--root', root, '--cgroup-manager', 'cgroupfs'];

export function createCrun(deps: { run: RunProgram; root: string }) {
  const crun = (...args: string[]) => deps.run(CRUN, [...crunGlobalArgs(deps.root), ...args]);
  return {
    start: (id: string) => crun('start', id),
    kill: (id: string, signal: string) => crun('kill', id, signal),
    pause: (id: string) => crun('pause', id),
    resume: (id: string) => crun('resume', id),
    /** Ends what still runs and removes crun's state; fine when nothing is there. */
    deleteForced: (id: string) => crun('delete', '--force', id),
    /** Dumps without ending the container: it is ended once the plane has committed. */
    checkpoint: (id: string, options: { images: string; work: string; timeoutMs: number }) =>
      deps.run(
        CRUN,
        [
          ...crunGlobalArgs(deps.root),
          'checkpoint',
          '--leave-running',
          '--file-locks',
          `--image-path=${options.images}`,
          `--work-path=${options.work}`,
          id,
        ],
        { timeoutMs: options.timeoutMs },
      ),
  };
}
export type Crun = ReturnType<typeof createCrun>;
