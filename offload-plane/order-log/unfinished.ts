/**
 * Recordings that are under way, a file each: a fault is in it before its page is sent. So a plane that is killed leaves
 * every fault that it has answered, in their order, and the next one goes on from there.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { OrderEntry } from './contract.ts';
import { decodeEntry, ENTRY_BYTES, encodeEntry } from './format.ts';
import { toOrderLog } from './load.ts';

export interface UnfinishedRecording {
  /** What earlier planes have recorded. */
  readonly earlier: readonly OrderEntry[];
  append(entry: OrderEntry): void;
  /** It is over: nobody goes on with it. */
  remove(): void;
  /** Leaves it to the next plane. */
  leave(): void;
}

/** @param directory made when there is none */
export function openUnfinishedRecordings(directory: string) {
  mkdirSync(directory, { recursive: true });
  const pathOf = (id: string) => join(directory, id);

  function open(id: string, earlier: readonly OrderEntry[]): UnfinishedRecording {
    const path = pathOf(id);
    let file: number | undefined = openSync(path, earlier.length === 0 ? 'w' : 'a', 0o600);
    const bytes = Buffer.alloc(ENTRY_BYTES);
    function leave(): void {
      if (file !== undefined) closeSync(file);
      file = undefined;
    }
    function remove(): void {
      leave();
      rmSync(path, { force: true });
    }
    return {
      earlier,
      append(entry) {
        if (file === undefined) return;
        encodeEntry(bytes, 0, entry);
        try {
          writeSync(file, bytes);
        } catch {
          // Half an order would be a wrong one: this plane can finish it, and no other.
          remove();
        }
      },
      remove,
      leave,
    };
  }

  return {
    /** Of a restore. */
    begin: (id: string): UnfinishedRecording => open(id, []),
    /** That of an earlier plane; undefined when there is none, or it does not fit the checkpoint. */
    goOn(id: string, reader: CheckpointReader): UnfinishedRecording | undefined {
      const bytes = readIfThere(pathOf(id));
      if (bytes === undefined || bytes.length % ENTRY_BYTES !== 0) return undefined;
      const entries = Array.from({ length: bytes.length / ENTRY_BYTES }, (_, index) =>
        decodeEntry(bytes, index * ENTRY_BYTES),
      );
      return toOrderLog(reader, entries) && open(id, entries);
    },
    /** Those of restores that do not go on. */
    removeExcept(ids: ReadonlySet<string>): void {
      for (const id of readdirSync(directory)) if (!ids.has(id)) rmSync(pathOf(id));
    },
  };
}
export type UnfinishedRecordings = ReturnType<typeof openUnfinishedRecordings>;

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
