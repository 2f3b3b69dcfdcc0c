/** What an action came to, said where a screen reader hears it. */
import { useEffect, useState } from 'preact/hooks';
import { refresh } from './live.ts';

interface Notice {
  id: number;
  text: string;
  failed: boolean;
}

const SHOWN_MS = 6_000;
const MAX_NOTICES = 4;
let notices: Notice[] = [];
let sequence = 0;
const listeners = new Set<(notices: Notice[]) => void>();

function tell(next: Notice[]): void {
  notices = next;
  for (const listener of listeners) listener(notices);
}

export function notify(text: string, failed = false): void {
  sequence += 1;
  const id = sequence;
  tell([...notices, { id, text, failed }].slice(-MAX_NOTICES));
  // A failure stays until it is dismissed.
  if (!failed) setTimeout(() => dismiss(id), SHOWN_MS);
}

const dismiss = (id: number) => tell(notices.filter((notice) => notice.id !== id));

/** Does it, says how it went, and shows what has become of it. */
export async function act(doing: string, action: () => Promise<unknown>): Promise<void> {
  const problem = await attemptNow(doing, action);
  if (problem !== undefined) notify(problem, true);
}

/** Does it, and gives what was wrong, for who says it himself. */
export async function attempt(action: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await refresh();
  }
}

/** The same for what is done when it is answered, from a dialog. */
export const attemptNow = (doing: string, action: () => Promise<unknown>): Promise<string | undefined> =>
  attempt(async () => {
    await action();
    notify(`${doing}: done`);
  });

export function Notices() {
  const [shown, setShown] = useState(notices);
  useEffect(() => {
    listeners.add(setShown);
    return () => void listeners.delete(setShown);
  }, []);
  return (
    <div class="notices" role="status" aria-live="polite">
      {shown.map(({ id, text, failed }) => (
        <p key={id} class={failed ? 'notice failed' : 'notice'}>
          <span>{failed ? `✕ ${text}` : `✓ ${text}`}</span>
          <button type="button" class="quiet" onClick={() => dismiss(id)} aria-label={`Dismiss: ${text}`}>
            ✕
          </button>
        </p>
      ))}
    </div>
  );
}
