/** Records one session's demand faults and keeps them with the checkpoint when recording ends. */
import type { OrderEntry } from '../order-log/contract.ts';
import { saveOrderLog } from '../order-log/load.ts';
import { OrderRecorder } from '../order-log/recorder.ts';
import type { UnfinishedRecording } from '../order-log/unfinished.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { RecordingState } from './contract.ts';

export class Recording {
  readonly #reader: CheckpointReader;
  readonly #recorder = new OrderRecorder();
  readonly #unfinished: UnfinishedRecording | undefined;
  #state: RecordingState;
  /** Nothing is added any more; the log may be on its way to the device yet. */
  #ended = false;
  #written: Promise<void> = Promise.resolve();

  /** @param unfinished keeps what is recorded until it is written, and has what earlier planes have recorded */
  constructor(reader: CheckpointReader, enabled: boolean, unfinished?: UnfinishedRecording) {
    this.#reader = reader;
    this.#unfinished = unfinished;
    for (const entry of unfinished?.earlier ?? []) this.#recorder.record(entry);
    this.#state = enabled ? { phase: 'recording', entryCount: 0 } : { phase: 'off' };
  }

  get state(): RecordingState {
    return this.#state.phase === 'recording'
      ? { phase: 'recording', entryCount: this.#recorder.entries.length }
      : this.#state;
  }

  get entries(): readonly OrderEntry[] {
    return this.#recorder.entries;
  }

  add(entry: OrderEntry): void {
    if (this.#state.phase !== 'recording' || this.#ended) return;
    if (this.#recorder.record(entry)) this.#unfinished?.append(entry);
  }

  /** Ends it and writes the log; a session without faults leaves an older log as it is. */
  finish(): Promise<void> {
    if (this.#state.phase !== 'recording' || this.#ended) return this.#written;
    this.#ended = true;
    if (this.#recorder.entries.length > 0) this.#written = this.#write();
    else this.#giveUp('no demand faults');
    return this.#written;
  }

  /** Of a failed restore nothing is kept: its order may end anywhere. */
  abandon(reason: string): void {
    if (this.#state.phase === 'recording' && !this.#ended) this.#giveUp(reason);
  }

  /** The next plane goes on with it. */
  leave(): void {
    if (this.#state.phase !== 'recording' || this.#ended) return;
    this.#state = { phase: 'abandoned', reason: 'the plane ends' };
    this.#unfinished?.leave();
  }

  #giveUp(reason: string): void {
    this.#state = { phase: 'abandoned', reason };
    this.#unfinished?.remove();
  }

  async #write(): Promise<void> {
    try {
      const { entries } = this.#recorder;
      await saveOrderLog(this.#reader, entries);
      this.#state = { phase: 'written', entryCount: entries.length };
      this.#unfinished?.remove();
    } catch (error) {
      this.#giveUp(error instanceof Error ? error.message : String(error));
    }
  }
}
