/**
 * When the fill begins: with the first response, or when faults have dried up. A page that the fill has brought
 * would not be recorded, so a recording ends first, a grace time after the response.
 */
import { Countdown } from './clock.ts';
import type { Clock } from './contract.ts';
import type { Recording } from './recording.ts';

export interface FillStartDeps {
  clock: Clock;
  recording: Recording;
  faultsDryUpMs: number;
  recordGraceMs: number;
  startFill(): void;
}

export class FillStart {
  readonly #deps: FillStartDeps;
  readonly #faultsDryUp: Countdown;
  #graceTimer: { cancel(): void } | undefined;

  constructor(deps: FillStartDeps) {
    this.#deps = deps;
    this.#faultsDryUp = new Countdown(deps.clock, deps.faultsDryUpMs, () => this.#endRecording());
  }

  /** The tasks run, or have faulted: another fault may come soon. */
  awaitFaults(): void {
    this.#faultsDryUp.touch();
  }

  responded(): void {
    const { clock, recording, recordGraceMs, startFill } = this.#deps;
    if (recording.state.phase === 'recording') {
      this.#graceTimer ??= clock.setTimer(() => this.#endRecording(), recordGraceMs);
    } else startFill();
  }

  stop(): void {
    this.#faultsDryUp.stop();
    this.#graceTimer?.cancel();
  }

  #endRecording(): void {
    void this.#deps.recording.finish();
    this.#deps.startFill();
  }
}
