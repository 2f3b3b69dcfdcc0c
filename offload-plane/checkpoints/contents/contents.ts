/** What a checkpoint holds: processes, handles, memory by mapping and the working set, from its images and index. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { loadOrderLog } from '../../order-log/load.ts';
import type { CheckpointReader } from '../../page-store/contract.ts';
import type { CheckpointContents, PageCounts, SharedMemoryView } from './contract.ts';
import { imagesOf } from './images.ts';
import { createBudget } from './limits.ts';
import { spread } from './mappings.ts';
import { type Process, readProcesses } from './processes.ts';

/** Some 2 ms of them. */
const RUNS_PER_TURN = 4_096;

/** What is told, and what of it can be looked up by address. */
export interface ContentsAndProcesses {
  contents: CheckpointContents;
  byPid: ReadonlyMap<number, Process>;
}

/** @throws {OffloadError} invalid_checkpoint, incomplete_checkpoint, corrupt_page */
export async function readContents(reader: CheckpointReader): Promise<CheckpointContents> {
  const { contents } = await readContentsOf(reader);
  return contents;
}

export async function readContentsOf(reader: CheckpointReader): Promise<ContentsAndProcesses> {
  const { manifest } = reader;
  const images = imagesOf(reader);
  const processes = await readProcesses(reader, images, createBudget(manifest.id));
  const byPid = new Map(processes.map((process) => [process.view.pid, process]));
  const { pageCount, zeroPageCount } = manifest;
  const sharedMemory = await countPages(reader, byPid);
  const workingSet = await countWorkingSet(reader, byPid);
  const contents = {
    id: manifest.id,
    hostname: (await images.hostname()) ?? '',
    processes: processes.map(({ view }) => view),
    sharedMemory,
    memory: { storedPageCount: pageCount - zeroPageCount, zeroPageCount },
    ...(workingSet === undefined ? {} : { workingSet }),
  };
  return { contents, byPid };
}

async function countPages(
  reader: CheckpointReader,
  byPid: ReadonlyMap<number, Process>,
): Promise<SharedMemoryView[]> {
  const shared = new Map<number, SharedMemoryView>();
  const usersOf = sharedMemoryUsers(byPid);
  for (const [i, segment] of reader.segments().entries()) {
    if (i % RUNS_PER_TURN === 0) await nextTurn();
    const add = (counts: PageCounts | undefined, pageCount: number) => {
      if (counts === undefined) return;
      if (segment.zero) counts.zeroPageCount += pageCount;
      else counts.storedPageCount += pageCount;
    };
    if (segment.kind === 'task') {
      const mappings = byPid.get(segment.id)?.mappings ?? [];
      spread(mappings, segment, (mapping, _vaddr, count) => add(mapping?.view, count));
    } else {
      const known = shared.get(segment.id) ?? newSharedMemory(segment.id, usersOf);
      shared.set(segment.id, known);
      add(known, segment.pageCount);
    }
  }
  return [...shared.values()];
}

/** By the id of shared memory: who maps it. */
function sharedMemoryUsers(byPid: ReadonlyMap<number, Process>): ReadonlyMap<number, ReadonlySet<number>> {
  const users = new Map<number, Set<number>>();
  for (const [pid, { view }] of byPid) {
    for (const { sharedMemory } of view.mappings) {
      if (sharedMemory === undefined) continue;
      const pids = users.get(sharedMemory) ?? new Set();
      users.set(sharedMemory, pids.add(pid));
    }
  }
  return users;
}

function newSharedMemory(id: number, usersOf: ReadonlyMap<number, ReadonlySet<number>>): SharedMemoryView {
  return { id, pids: [...(usersOf.get(id) ?? [])], storedPageCount: 0, zeroPageCount: 0 };
}

async function countWorkingSet(
  reader: CheckpointReader,
  byPid: ReadonlyMap<number, Process>,
): Promise<CheckpointContents['workingSet']> {
  const loaded = await loadOrderLog(reader);
  if (!('log' in loaded)) return undefined;
  const pageCountByKind: Record<string, number> = {};
  for (const [i, { task, vaddr, pageCount }] of loaded.log.runs.entries()) {
    if (i % RUNS_PER_TURN === 0) await nextTurn();
    spread(byPid.get(task)?.mappings ?? [], { vaddr, pageCount }, (mapping, _vaddr, count) => {
      const kind = mapping?.view.kind ?? 'none';
      pageCountByKind[kind] = (pageCountByKind[kind] ?? 0) + count;
      if (mapping) mapping.view.workingSetPageCount = (mapping.view.workingSetPageCount ?? 0) + count;
    });
  }
  return { pageCount: loaded.log.workingSet.pageCount, pageCountByKind };
}
