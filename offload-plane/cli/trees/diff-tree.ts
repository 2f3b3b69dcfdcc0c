/** How two checkpoints differ, as a tree for people: + came, - went, ~ changed. */
import type { HandleView } from '../../checkpoints/contents/contract.ts';
import type {
  CheckpointDiff,
  MappingDiff,
  PageDiff,
  ProcessFacts,
} from '../../checkpoints/contents/diff-contract.ts';
import { handleText } from './contents-tree.ts';
import type { Tree } from './tree.ts';

export function diffTree(diff: CheckpointDiff): Tree {
  const { from, to, processes, handles, memory } = diff;
  return {
    text: `${from} → ${to}`,
    children: [
      part('processes', changes(processes, processText)),
      part(
        'handles',
        handles.map(({ pid, ...own }) => ({
          text: `of ${pid}`,
          children: changes<HandleView>(own, handleText),
        })),
      ),
      {
        text: `memory  ${pagesText(memory)}`,
        children: memory.mappings.map((mapping) => ({
          text: `${mappingText(mapping)}  ${pagesText(mapping)}`,
        })),
      },
    ],
  };
}

const part = (name: string, children: readonly Tree[]): Tree =>
  children.length === 0 ? { text: `${name}  the same` } : { text: name, children };

interface Changes<T> {
  added: T[];
  removed: T[];
  changed: { from: T; to: T }[];
}

function changes<T>({ added, removed, changed }: Changes<T>, textOf: (value: T) => string): Tree[] {
  return [
    ...removed.map((value) => ({ text: `- ${textOf(value)}` })),
    ...added.map((value) => ({ text: `+ ${textOf(value)}` })),
    ...changed.map(({ from, to }) => ({
      text: `~ ${textOf(from)}`,
      children: [{ text: textOf(to) }],
    })),
  ];
}

function processText({ pid, name, state, threadCount, command, executable }: ProcessFacts): string {
  const what = command?.join(' ') ?? executable;
  return [`${pid} ${name}`, state, `${threadCount} threads`, what].filter(Boolean).join('  ');
}

function mappingText({ pid, start, end, kind, path, sharedMemory }: MappingDiff): string {
  if (sharedMemory !== undefined) return `shared memory ${sharedMemory}`;
  return [`of ${pid}`, start === undefined ? undefined : `${start}-${end}`, kind, path]
    .filter(Boolean)
    .join('  ');
}

function pagesText({ equalPageCount, changedPageCount, addedPageCount, removedPageCount }: PageDiff): string {
  const parts: [number, string][] = [
    [changedPageCount, 'changed'],
    [addedPageCount, 'came'],
    [removedPageCount, 'went'],
    [equalPageCount, 'equal'],
  ];
  return parts
    .filter(([count, word]) => count > 0 || word === 'equal')
    .map(([count, word]) => `${count} ${word}`)
    .join(', ');
}
