/**
 * The guest's half of a restore. The pager starts first and fetches while everything else is being made;
 * CRIU starts once its own pages are in place; from then on pager and container are on their own.
 */
import { writeFileSync } from 'node:fs';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { RestoreRequest, RestoreResult } from '../interconnect/agent-api.ts';
import { OffloadError, toOffloadError } from '../platform/errors.ts';
import type { Containers } from './containers.ts';
import type { Container } from './life.ts';
import { replaceMachineId } from './machine-id.ts';
import { type PagerProcess, startPager } from './pager-process.ts';
import type { AgentPaths } from './paths.ts';
import type { RunProgram } from './run-program.ts';
import { restoreConfig } from './runtime/criu-config.ts';
import { criuFailure } from './runtime/criu-log.ts';
import { receiveImages } from './sent-images.ts';

export interface RestoreDeps {
  containers: Containers;
  paths: AgentPaths;
  run: RunProgram;
  nowMs: () => number;
}

export function createRestores(deps: RestoreDeps) {
  const { containers, nowMs } = deps;

  async function start(
    request: RestoreRequest,
    container: Container,
    pager: PagerProcess,
    startMs: number,
  ): Promise<RestoreResult> {
    const { id } = request.spec;
    const own = containers.paths(id);
    const preparedMs = nowMs() - startMs;
    if (request.hold) await writeFile(own.holdScript, holdScript(own.cgroup), { mode: 0o700 });
    const { lazyPages, hold } = request;
    await writeFile(
      own.criuConfig,
      restoreConfig({ lazyPages, ...(hold ? { actionScript: own.holdScript } : {}) }),
    );
    await pager.ready;
    const pagerReadyMs = nowMs() - startMs;
    const pid = await containers
      .conmon(request.spec, own.restoreImages, request.deadlineMs)
      .catch(async (error: unknown) => {
        throw await criuFailure(`restore container ${id}`, `${own.bundle}/restore.log`, error);
      });
    await containers.settle(container, hold ? 'paused' : 'running', pid, 'restored');
    return { preparedMs, pagerReadyMs, runningMs: nowMs() - startMs };
  }

  async function applyRootfsDiff(id: string): Promise<void> {
    const own = containers.paths(id);
    const args = [
      '--xattrs',
      '--xattrs-include=*',
      '--numeric-owner',
      '-xpf',
      own.restoreRootfsDiff,
      '-C',
      own.upper,
    ];
    if (await exists(own.restoreRootfsDiff)) {
      await mkdir(own.upper, { recursive: true });
      await deps.run('tar', args);
      await rm(own.restoreRootfsDiff, { force: true });
    }
  }

  function launchPager(request: RestoreRequest, onEnd: (failure: string | undefined) => void): PagerProcess {
    const own = containers.paths(request.spec.id);
    return startPager({
      programDirectory: deps.paths.programDirectory,
      tokenFile: own.tokenFile,
      workDirectory: own.bundle,
      imagesDirectory: own.restoreImages,
      log: own.pagerLog,
      cgroup: own.cgroup,
      deadlineMs: request.deadlineMs,
      onEnd,
    });
  }

  return {
    /** Takes the tar of CRIU's images (and perhaps rootfs-diff.tar) that the next restore of `id` uses. */
    putImages: (id: string, tar: Readable): Promise<void> =>
      containers.inTurn(id, () => receiveImages(containers.paths(id), tar)),
    async restore(request: RestoreRequest): Promise<RestoreResult> {
      const startMs = nowMs();
      const { id } = request.spec;
      const own = containers.paths(id);
      containers.expectFree(id, 'restore');
      if (!(await exists(own.restoreImages))) {
        throw new OffloadError('invalid_state', `restore container ${id}: its images were not sent first`);
      }
      await writeFile(own.tokenFile, Buffer.from(request.token, 'hex'), { mode: 0o600 });
      let container: Container | undefined;
      const pager = launchPager(request, (failure) => pagerEnded(containers, id, container, failure));
      try {
        await applyRootfsDiff(id);
        // Until it is on record a plane that asks is told that there is none, and it deletes what was sent.
        if (!(await exists(own.restoreImages))) throw deleted(id);
        container = await containers.prepare(request.spec, { phase: 'restoring' }, pager);
        if (request.machineId !== undefined) await replaceMachineId(own.rootfs, request.machineId);
        return await start(request, container, pager, startMs);
      } catch (error) {
        await pager.stop();
        if (container) await containers.discard(container);
        else for (const path of [own.data, own.bundle]) await rm(path, { recursive: true, force: true });
        throw toOffloadError(error, `restore container ${id}`);
      } finally {
        await rm(own.tokenFile, { force: true });
        await rm(own.restoreImages, { recursive: true, force: true });
      }
    },
  };
}
export type Restores = ReturnType<typeof createRestores>;

/** One that has failed has ended its container; what it has not done for want of time is done here. */
export function pagerEnded(
  containers: Containers,
  id: string,
  container: Container | undefined,
  failure: string | undefined,
): void {
  if (failure !== undefined) {
    // Killed together with its supervisor it could not: what is missing would read as zero from now on.
    killCgroup(containers.paths(id).cgroup);
    console.error(JSON.stringify({ container: id, pager: failure }));
  }
  if (!container) return;
  container.pager = undefined;
  containers.save(container);
}

const deleted = (id: string) =>
  new OffloadError('invalid_state', `restore container ${id}: it was deleted meanwhile`);

/** CRIU runs it at each stage; before it lets the tasks go, their cgroup is frozen (criu(8), --action-script). */
function holdScript(cgroup: string): string {
  return `#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" != pre-resume ] || echo 1 >${cgroup}/cgroup.freeze\n`;
}

/** At once, before anything else gets a turn. */
function killCgroup(cgroup: string): void {
  try {
    writeFileSync(`${cgroup}/cgroup.kill`, '1');
  } catch {
    // There is none yet, or no more.
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
