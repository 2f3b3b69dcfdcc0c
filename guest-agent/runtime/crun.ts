/** crun, one verb a function; argv only, the runner is injected. */
import type { RunProgram } from '../run-program.ts';

export const CRUN = '/usr/bin/crun';

/** Options before the verb: no systemd in the guest, so crun drives cgroups itself. */
export const crunGlobalArgs = (root: string) => ['--root', root, '--cgroup-manager', 'cgroupfs'];

export interface DumpOptions {
  images: string;
  work: string;
  timeoutMs: number;
}

export interface CrunState {
  status: 'creating' | 'created' | 'running' | 'paused' | 'stopped';
  pid: number;
}

export function createCrun(deps: { run: RunProgram; root: string }) {
  const crun = (...args: string[]) => deps.run(CRUN, [...crunGlobalArgs(deps.root), ...args]);
  const checkpoint = (id: string, flags: readonly string[], options: DumpOptions) => {
    const { images, work, timeoutMs } = options;
    const directories = [`--image-path=${images}`, `--work-path=${work}`];
    const args = [...crunGlobalArgs(deps.root), 'checkpoint', ...flags, ...directories, id];
    return deps.run(CRUN, args, { timeoutMs });
  };
  return {
    /** @throws when there is none of this name */
    state: async (id: string): Promise<CrunState> => JSON.parse(await crun('state', id)) as CrunState,
    start: (id: string) => crun('start', id),
    kill: (id: string, signal: string) => crun('kill', id, signal),
    pause: (id: string) => crun('pause', id),
    resume: (id: string) => crun('resume', id),
    /** Ends what still runs and removes crun's state; fine when nothing is there. */
    deleteForced: (id: string) => crun('delete', '--force', id),
    /** Dumps without ending the container: it is ended once the plane has committed. */
    checkpoint: (id: string, options: DumpOptions) =>
      checkpoint(id, ['--leave-running', '--file-locks'], options),
    /** Dumps memory only, while the container runs. */
    preDump: (id: string, options: DumpOptions) => checkpoint(id, ['--pre-dump'], options),
  };
}
export type Crun = ReturnType<typeof createCrun>;
