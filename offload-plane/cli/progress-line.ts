/** One line on a terminal that says how far a long call is; Ctrl-C asks the plane to undo it. */
import type { Watcher } from '../client/index.ts';
import { printable } from './printable.ts';

const CLEAR_LINE = '\r\x1b[K';
const BAR_WIDTH = 24;

export interface ProgressLine {
  watcher: Watcher;
  close(): void;
}

/** None where nobody looks: then long calls are answered when they are done. */
export function openProgressLine(stream: NodeJS.WriteStream): ProgressLine | undefined {
  if (!stream.isTTY) return undefined;
  const abort = new AbortController();
  let isShown = false;
  const onInterrupt = () => abort.abort();
  return {
    watcher: {
      signal: abort.signal,
      onProgress(progress, { kind, subject }) {
        // Only from here on is there something that Ctrl-C can cancel.
        if (!isShown) process.on('SIGINT', onInterrupt);
        isShown = true;
        const what = abort.signal.aborted ? 'cancelling' : progress.text;
        const text = `${kind} ${subject}: ${bar(progress.fraction)}${what}`;
        stream.write(`${CLEAR_LINE}${printable(text).slice(0, stream.columns - 1)}`);
      },
    },
    close() {
      process.off('SIGINT', onInterrupt);
      if (isShown) stream.write(CLEAR_LINE);
      isShown = false;
    },
  };
}

/** `[######------------------]  25% ` */
function bar(fraction: number | undefined): string {
  if (fraction === undefined) return '';
  const filled = Math.round(fraction * BAR_WIDTH);
  const share = `${Math.round(fraction * 100)}%`.padStart(4);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]${share} `;
}
