/** Compares two checkpoints: processes by pid, handles by descriptor, memory by page. */
import { isDeepStrictEqual } from 'node:util';
import type { CheckpointReader } from '../../page-store/contract.ts';
import { type ContentsAndProcesses, readContentsOf } from './contents.ts';
import type { HandleView, ProcessView } from './contract.ts';
import type { CheckpointDiff, HandleDiff, MappingDiff, PageDiff, ProcessFacts } from './diff-contract.ts';
import { spread } from './mappings.ts';
import { type ChangedRun, comparePages, noPages } from './page-diff.ts';

/** @throws {OffloadError} invalid_checkpoint, incomplete_checkpoint, corrupt_page */
export async function diffCheckpoints(from: CheckpointReader, to: CheckpointReader): Promise<CheckpointDiff> {
  const [before, after] = [await readContentsOf(from), await readContentsOf(to)];
  const [processesBefore, processesAfter] = [before.contents.processes, after.contents.processes];
  const processes = compareBy(processesBefore.map(factsOf), processesAfter.map(factsOf), ({ pid }) => pid);
  return {
    from: from.manifest.id,
    to: to.manifest.id,
    processes,
    handles: compareHandles(processesBefore, processesAfter),
    memory: await compareMemory({ from, to, before, after }),
  };
}

function factsOf({
  pid,
  parentPid,
  name,
  state,
  command,
  executable,
  user,
  threads,
}: ProcessView): ProcessFacts {
  return {
    pid,
    parentPid,
    name,
    state,
    threadCount: threads.length,
    ...(command === undefined ? {} : { command }),
    ...(executable === undefined ? {} : { executable }),
    ...(user === undefined ? {} : { user }),
  };
}

function compareHandles(before: readonly ProcessView[], after: readonly ProcessView[]): HandleDiff[] {
  const handlesBefore = new Map(before.map(({ pid, handles }) => [pid, handles]));
  return after.flatMap(({ pid, handles }) => {
    const others = handlesBefore.get(pid);
    if (others === undefined) return [];
    const diff = compareBy<HandleView>(others, handles, ({ fd }) => fd);
    const isEmpty = Object.values(diff).every((list) => list.length === 0);
    return isEmpty ? [] : [{ pid, ...diff }];
  });
}

function compareBy<T>(before: readonly T[], after: readonly T[], keyOf: (value: T) => number) {
  const byKey = new Map(before.map((value) => [keyOf(value), value]));
  const keysAfter = new Set(after.map(keyOf));
  const added: T[] = [];
  const changed: { from: T; to: T }[] = [];
  for (const to of after) {
    const from = byKey.get(keyOf(to));
    if (from === undefined) added.push(to);
    else if (!isDeepStrictEqual(from, to)) changed.push({ from, to });
  }
  return { added, removed: before.filter((value) => !keysAfter.has(keyOf(value))), changed };
}

interface Both {
  from: CheckpointReader;
  to: CheckpointReader;
  before: ContentsAndProcesses;
  after: ContentsAndProcesses;
}

async function compareMemory({ from, to, before, after }: Both): Promise<CheckpointDiff['memory']> {
  const total = noPages();
  const byMapping = new Map<string, MappingDiff>();
  for await (const run of comparePages(from, to)) {
    total[run.change] += run.pageCount;
    // What is gone is told by the mapping it was in.
    count(byMapping, run, run.change === 'removedPageCount' ? before : after);
  }
  const mappings = [...byMapping.values()].filter(hasChanged);
  return { ...total, mappings };
}

function count(byMapping: Map<string, MappingDiff>, run: ChangedRun, { byPid }: ContentsAndProcesses): void {
  const { target, change, pageCount } = run;
  const at = (key: string, facts: Omit<MappingDiff, keyof PageDiff>): MappingDiff => {
    const known = byMapping.get(key) ?? { ...facts, ...noPages() };
    byMapping.set(key, known);
    return known;
  };
  if (target.kind === 'shmem') {
    at(`shmem ${target.id}`, { kind: 'shared', sharedMemory: target.id })[change] += pageCount;
    return;
  }
  const pid = target.id;
  spread(byPid.get(pid)?.mappings ?? [], run, (mapping, _vaddr, pages) => {
    const { start, end, kind, path } = mapping?.view ?? { kind: 'none' };
    const where = start === undefined || end === undefined ? {} : { start, end };
    const facts = { pid, ...where, kind, ...(path === undefined ? {} : { path }) };
    at(`${pid} ${start} ${end}`, facts)[change] += pages;
  });
}

const hasChanged = (diff: PageDiff): boolean =>
  diff.changedPageCount + diff.addedPageCount + diff.removedPageCount > 0;
