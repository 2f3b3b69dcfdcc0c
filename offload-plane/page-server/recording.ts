/** Records one session's demand faults and keeps them with the checkpoint when recording ends. */
import type { OrderEntry } from '../order-log/contract.ts';
import { saveOrderLog } from '../order-log/load.ts';
import { OrderRecorder } from '../order-log/recorder.ts';
import type { CheckpointReader } from '../page-store/contract.ts';
import type { RecordingState } from './contract.ts';

export class Recording {
  readonly #reader: CheckpointReader;
  readonly #recorder = new OrderRecorder();
  #state: RecordingState;
  /** Nothing is added any more; the log may be on its way to the device yet. */
  #ended = false;
  #written: Promise<void> = Promise.resolve();

  constructor(reader: CheckpointReader, enabled: boolean) {
    this.#reader = reader;
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
    if (this.#state.phase === 'recording' && !this.#ended) this.#recorder.record(entry);
  }

  /** Ends it and writes the log; a session without faults leaves an older log as it is. */
  finish(): Promise<void> {
    if (this.#state.phase !== 'recording' || this.#ended) return this.#written;
    this.#ended = true;
    if (this.#recorder.entries.length > 0) this.#written = this.#write();
    else this.#state = { phase: 'abandoned', reason: 'no demand faults' };
    return this.#written;
  }

  /** Of a failed restore nothing is kept: its order may end anywhere. */
  abandon(reason: string): void {
    if (this.#state.phase === 'recording' && !this.#ended) this.#state = { phase: 'abandoned', reason };
  }

  async #write(): Promise<void> {
    try {
      const { entries } = this.#recorder;
      await saveOrderLog(this.#reader, entries);
      this.#state = { phase: 'written', entryCount: entries.length };
    } catch (error) {
      this.#state = { phase: 'abandoned', reason: error instanceof Error ? error.message : String(error) };
    }
  }
}
