/** Standard input and output of containers and execs, put together. */
import type { Containers } from '../containers.ts';
import type { EventLog } from '../events.ts';
import type { AgentPaths } from '../paths.ts';
import type { RunProgram } from '../run-program.ts';
import type { ConnectAttach } from '../runtime/attach-socket.ts';
import { findUser } from '../users.ts';
import { createArchives } from './archive.ts';
import { createContainerHubs } from './container-hubs.ts';
import { createExecs } from './execs.ts';

export interface StdioDeps {
  paths: AgentPaths;
  containers: Containers;
  events: EventLog;
  run: RunProgram;
  connectAttach: ConnectAttach;
  randomId: () => string;
  createTimeoutMs: number;
  conmonProgram?: string | undefined;
}

export async function createStdio(deps: StdioDeps) {
  const { containers, events, paths } = deps;
  const hubs = createContainerHubs(deps);
  const archives = createArchives(deps);
  const execs = createExecs({
    ...deps,
    userOf: (container, user) =>
      findUser(user, `exec in container ${container}`, (path) =>
        archives.readText(container, path).catch(() => ''),
      ),
  });
  events.subscribe(({ container, event }) => {
    if (event === 'deleted') execs.forgetContainer(container);
  });
  for (const { id, phase } of containers.list()) {
    if (phase === 'restoring' || phase === 'stopped') continue;
    hubs.adopt(id);
    await execs.adopt(id);
  }
  return { hubs, execs, archives, paths };
}
export type Stdio = Awaited<ReturnType<typeof createStdio>>;
