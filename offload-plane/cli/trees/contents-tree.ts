/** What a checkpoint holds, as a tree for people: children below their parent process. */
import type {
  CheckpointContents,
  HandleView,
  MappingView,
  PageCounts,
  ProcessView,
} from '../../checkpoints/contents/contract.ts';
import type { Tree } from './tree.ts';

const PAGE_BYTES = 4096;
const MEBIBYTE = 1024 * 1024;

export interface TreeOptions {
  eachMapping: boolean;
}

export function contentsTree(contents: CheckpointContents, options: TreeOptions): Tree {
  const { id, hostname, memory, workingSet, sharedMemory, processes } = contents;
  const set = workingSet === undefined ? '' : `, working set ${workingSet.pageCount} pages`;
  const pids = new Set(processes.map(({ pid }) => pid));
  const roots = processes.filter(({ pid, parentPid }) => parentPid === pid || !pids.has(parentPid));
  return {
    text: `${id}  hostname ${hostname}, ${pagesText(memory)}${set}`,
    children: [
      ...roots.map((process) => processTree(process, processes, options)),
      ...sharedMemory.map((shared) => ({
        text: `shared memory ${shared.id}  ${pagesText(shared)}, of ${shared.pids.join(', ') || 'nobody'}`,
      })),
    ],
  };
}

function processTree(process: ProcessView, all: readonly ProcessView[], options: TreeOptions): Tree {
  const { pid, name, state, exitCode, user, command, executable, threads, handles, mappings } = process;
  const what = command?.join(' ') ?? executable ?? '';
  const parts = [`${pid} ${name}`, exitCode === undefined ? state : `${state} ${exitCode}`, user, what];
  const children = all.filter((other) => other.parentPid === pid && other.pid !== pid);
  return {
    text: parts.filter(Boolean).join('  '),
    children: [
      ...(threads.length > 1 ? [{ text: `threads  ${threadsText(threads)}` }] : []),
      ...(handles.length > 0 ? [{ text: 'handles', children: handles.map(handleTree) }] : []),
      ...(mappings.length > 0 ? [{ text: 'memory', children: memoryTrees(mappings, options) }] : []),
      ...children.map((child) => processTree(child, all, options)),
    ],
  };
}

/** Those of one name are counted. */
function threadsText(threads: ProcessView['threads']): string {
  const names = Map.groupBy(threads, ({ name }) => name);
  return [...names].map(([name, { length }]) => (length === 1 ? name : `${name} ×${length}`)).join(', ');
}

export function handleText(handle: HandleView): string {
  const { fd, kind, path, offset, socket, pipe, watches, counter, flags } = handle;
  const of = socket
    ? [socket.protocol, socket.state, socket.local, socket.remote && `→ ${socket.remote}`]
    : [path, offset && `at ${offset}`, pipe && `${pipe.id} ${pipe.end}`, counter && `counter ${counter}`];
  const more = watches === undefined ? undefined : `watches ${watches.join(', ') || 'nothing'}`;
  return [`${fd} ${kind}`, ...of, more, flags.join('|')].filter(Boolean).join('  ');
}

const handleTree = (handle: HandleView): Tree => ({ text: handleText(handle) });

function memoryTrees(mappings: readonly MappingView[], { eachMapping }: TreeOptions): Tree[] {
  if (eachMapping) return mappings.map((mapping) => ({ text: mappingText(mapping) }));
  const groups = Map.groupBy(mappings, ({ kind, path = '' }) => `${kind} ${path}`.trim());
  return [...groups]
    .map(([name, members]) => ({ name, members, ...sumOf(members) }))
    .sort((a, b) => b.storedPageCount - a.storedPageCount)
    .map(({ name, members, workingSetPageCount, ...counts }) => ({
      text: `${name}${members.length > 1 ? ` ×${members.length}` : ''}  ${pagesText(counts)}${setText(workingSetPageCount)}`,
    }));
}

function mappingText(mapping: MappingView): string {
  const { start, end, protection, kind, path = '', workingSetPageCount = 0 } = mapping;
  const parts = [`${start}-${end}`, protection, `${kind} ${path}`.trim(), pagesText(mapping)];
  return parts.join('  ') + setText(workingSetPageCount);
}

function sumOf(mappings: readonly MappingView[]) {
  const sum = { storedPageCount: 0, zeroPageCount: 0, workingSetPageCount: 0 };
  for (const mapping of mappings) {
    sum.storedPageCount += mapping.storedPageCount;
    sum.zeroPageCount += mapping.zeroPageCount;
    sum.workingSetPageCount += mapping.workingSetPageCount ?? 0;
  }
  return sum;
}

const setText = (pageCount: number): string => (pageCount === 0 ? '' : `, working set ${pageCount}`);

function pagesText({ storedPageCount, zeroPageCount }: PageCounts): string {
  const size = ((storedPageCount * PAGE_BYTES) / MEBIBYTE).toFixed(1);
  const zero = zeroPageCount === 0 ? '' : `, ${zeroPageCount} zero`;
  return `${storedPageCount} pages (${size} MiB)${zero}`;
}
