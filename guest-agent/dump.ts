/**
 * One dump of a container by CRIU: its memory goes through a relay to the plane, its metadata and what has changed
 * in its root filesystem into files of the agent's.
 */
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Duplex } from 'node:stream';
import type { CheckpointRequest } from '../interconnect/agent-api.ts';
import { OffloadError } from '../platform/errors.ts';
import type { Containers } from './containers.ts';
import { openDumpRelay } from './dump-relay.ts';
import type { Container } from './life.ts';
import { type Programs, readPrograms, runTheSame } from './programs.ts';
import type { RunProgram } from './run-program.ts';
import { dumpConfig } from './runtime/criu-config.ts';
import { criuFailure } from './runtime/criu-log.ts';
import type { Crun } from './runtime/crun.ts';
import { keepTracked } from './tracked-dumps.ts';

export interface DumpsDeps {
  containers: Containers;
  crun: Crun;
  run: RunProgram;
  /** Dials a port of the plane. */
  dialPlane: (port: number) => Promise<Duplex>;
}

/** A dump under way. */
export interface Dump {
  cancelled: boolean;
  /** Takes its page server away from CRIU, which then gives up. */
  cutOff(): void;
  /** Resolves when the container runs on, or stands still for the files to be fetched. */
  ended: Promise<void>;
}

export function createDumps({ containers, crun, run, dialPlane }: DumpsDeps) {
  /** What CRIU is told to build on: nothing, so that everything is sent, when a task has begun another program. */
  async function parentFor(
    container: Container,
    request: CheckpointRequest,
    programs: Programs,
  ): Promise<string | undefined> {
    const { trackedDump } = container;
    if (request.parent === undefined || trackedDump === undefined) return undefined;
    const own = containers.paths(container.spec.id);
    const path = relative(own.dumpImages, own.parentImages);
    // The plane says that it has an earlier dump: CRIU wants to see its inventory, whatever it sends.
    await symlink(path, join(own.dumpImages, 'parent'));
    return runTheSame(trackedDump.programs, programs) ? path : undefined;
  }

  return {
    /** Sends the memory and leaves the metadata in the container's directory of dumps. */
    async write(
      verb: 'checkpoint' | 'preDump',
      container: Container,
      request: CheckpointRequest,
      current: Dump,
    ): Promise<void> {
      const { token, deadlineMs, track } = request;
      const { id } = container.spec;
      const own = containers.paths(id);
      await rm(own.dumpImages, { recursive: true, force: true });
      await mkdir(own.dumpImages, { recursive: true });
      const relay = await openDumpRelay({ token, deadlineMs, dialPlane });
      current.cutOff = relay.close;
      try {
        if (current.cancelled)
          throw new OffloadError('invalid_state', `checkpoint container ${id}: cancelled`);
        const programs = await readPrograms(own.cgroup);
        const parent = await parentFor(container, request, programs);
        await writeFile(own.criuConfig, dumpConfig({ ...relay, track, parent }));
        // The kernel begins to track anew at some moment of this dump, whether or not it comes to its end.
        if (track || parent !== undefined) {
          container.trackedDump = undefined;
          containers.save(container);
        }
        await crun[verb](id, {
          images: own.dumpImages,
          work: own.dumpImages,
          timeoutMs: deadlineMs,
        }).catch(async (error: unknown) => {
          const operation = verb === 'preDump' ? 'pre-dump' : 'checkpoint';
          throw await criuFailure(`${operation} container ${id}`, `${own.dumpImages}/dump.log`, error);
        });
        await relay.finished();
        if (track) await keepTracked(containers, container, { token, programs });
      } finally {
        relay.close();
      }
    },
    /** Counts what the container changed in its root filesystem and, if anything, packs it. */
    async packRootfsDiff(id: string): Promise<number> {
      const own = containers.paths(id);
      const entries = await readdir(own.upper);
      if (entries.length === 0) return 0;
      await run('tar', [
        '--xattrs',
        '--xattrs-include=*',
        '--numeric-owner',
        '-cf',
        own.dumpRootfsDiff,
        '-C',
        own.upper,
        '.',
      ]);
      return entries.length;
    },
    /** Without CRIU's logs and statistics: they are no part of a checkpoint. */
    async imageFiles(id: string): Promise<string[]> {
      return (await readdir(containers.paths(id).dumpImages)).filter(isImage);
    },
    async remove(id: string): Promise<void> {
      const own = containers.paths(id);
      await rm(own.dumpImages, { recursive: true, force: true });
      await rm(own.dumpRootfsDiff, { force: true });
    },
  };
}

export function isImage(name: string): boolean {
  return name.endsWith('.img') || name === 'descriptors.json';
}
