/** Containers on disk: each change is written with the event that tells of it, and then it is so. */
import { type Static, Type } from 'typebox';
import type { PlaneEventBody } from '../journal/event.ts';
import type { Journal } from '../journal/journal.ts';
import type { Database } from '../state/database.ts';
import { openDocuments } from '../state/documents.ts';
import type { Container, ContainerRecipe, ContainerState, PlanePhase, Recorder } from './container.ts';
import { Policies } from './policies.ts';

const PHASES = ['created', 'running', 'paused', 'checkpointing', 'restoring', 'stopped', 'lost'] as const;

const ContainerRow = Type.Object({
  name: Type.String(),
  guest: Type.String(),
  recipe: Type.Unsafe<ContainerRecipe>(
    Type.Object({ imageDigest: Type.String(), spec: Type.Object({ address: Type.String() }) }),
  ),
  phase: Type.Enum(PHASES),
  exitCode: Type.Optional(Type.Integer()),
  ports: Type.Array(Type.Object({ hostPort: Type.Integer(), containerPort: Type.Integer() })),
  policies: Policies,
  labels: Type.Record(Type.String(), Type.String()),
  desired: Type.Union([Type.Literal('running'), Type.Literal('stopped')]),
  restartCount: Type.Integer(),
  createdAtMs: Type.Number(),
  startedAtMs: Type.Optional(Type.Number()),
  finishedAtMs: Type.Optional(Type.Number()),
  lastCheckpoint: Type.Optional(Type.String()),
  restoredFrom: Type.Optional(Type.Object({ checkpoint: Type.String(), container: Type.String() })),
  trackedDump: Type.Optional(Type.Object({ id: Type.String(), token: Type.String(), digest: Type.String() })),
});
type ContainerRow = Static<typeof ContainerRow>;

export interface ContainerRecords extends Recorder {
  list(): { id: string; state: ContainerState }[];
  add(container: Container): void;
  remove(container: Container): void;
  /** Tells of something that happened to it and changes none of its record. */
  note(container: Container, event: string, reason?: string): void;
}

export function openContainerRecords(
  database: Database,
  journal: Journal,
  wallMs: () => number,
  onPhase: (container: Container) => void = () => {},
): ContainerRecords {
  const rows = openDocuments(database, 'container', ContainerRow);
  /** What is not there any more, or not yet, is not written. */
  const written = new Set<string>(rows.list().map(({ id }) => id));

  function note(container: Container, event: string, reason?: string): void {
    journal.append({ ...aboutOf(container), event, ...(reason === undefined ? {} : { reason }) });
  }

  return {
    note,
    list: () => rows.list().map(({ id, value }) => ({ id, state: value as ContainerState })),
    add(container) {
      rows.put(container.id, rowOf(container));
      database.afterCommit(() => written.add(container.id));
    },
    remove(container) {
      rows.delete(container.id);
      database.afterCommit(() => written.delete(container.id));
    },
    change(container, wanted) {
      const patch = { ...wanted, ...timesOf(container.phase, wanted.phase, wallMs()) };
      database.transaction(() => {
        const isWritten = written.has(container.id);
        if (isWritten) rows.put(container.id, rowOf({ ...container, ...patch }));
        const event = eventOf(container.phase, patch.phase);
        if (event && isWritten) {
          const exitCode = event === 'exited' ? patch.exitCode : undefined;
          journal.append({ ...aboutOf(container), event, ...(exitCode === undefined ? {} : { exitCode }) });
        }
        database.afterCommit(() => {
          Object.assign(container, patch);
          if (patch.phase === undefined) return;
          for (const listener of [...container.onPhase]) listener(patch.phase);
          onPhase(container);
        });
      });
    },
  };
}

const aboutOf = ({ id, name, guest }: Container): Omit<PlaneEventBody, 'event'> => ({
  type: 'container',
  container: id,
  name,
  guest,
});

function rowOf(state: ContainerState): ContainerRow {
  const keys = Object.keys(ContainerRow.properties) as (keyof ContainerRow)[];
  const known = keys.filter((key) => state[key] !== undefined);
  return Object.fromEntries(known.map((key) => [key, state[key]])) as ContainerRow;
}

/** What a change of phase is called in the journal. */
function eventOf(before: PlanePhase, after: PlanePhase | undefined): string | undefined {
  if (after === undefined || after === before) return undefined;
  if (after === 'stopped') return 'exited';
  if (after === 'lost' || after === 'paused' || after === 'checkpointing') return after;
  if (after === 'created') return before === 'stopped' ? 'recreated' : undefined;
  if (after !== 'running') return undefined;
  if (before === 'paused') return 'resumed';
  if (before === 'restoring') return 'restored';
  if (before === 'lost') return 'found';
  return before === 'created' || before === 'stopped' ? 'started' : undefined;
}

function timesOf(before: PlanePhase, after: PlanePhase | undefined, nowMs: number): Partial<ContainerState> {
  if (after === 'stopped' && before !== 'stopped') return { finishedAtMs: nowMs };
  const began = before === 'created' || before === 'restoring' || before === 'stopped';
  return after === 'running' && began ? { startedAtMs: nowMs } : {};
}
