/** Commands in a guest that was started with a shell port: how benches look into it. */
import { dialGuest } from '../../interconnect/transport.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';

/** Its output is for figures and short lists: bulk from a guest needs acknowledgements. */
const MAX_OUTPUT_BYTES = 64 * 1024;
const DIAL_TIMEOUT_MS = 30_000;

/**
 * Runs a bash script and gives what it printed, standard error included.
 * @throws {OffloadError} deadline_exceeded, guest_lost, runtime_failed with the end of the output
 */
export async function runInGuest(
  guest: { name: string; vsockPath: string; shellPort?: number },
  script: string,
  timeoutMs: number,
): Promise<string> {
  const what = `script in guest ${guest.name}`;
  if (guest.shellPort === undefined) {
    throw new OffloadError('invalid_state', `${what}: it was started without a shell port`);
  }
  const socket = await dialGuest(guest.vsockPath, guest.shellPort, DIAL_TIMEOUT_MS);
  try {
    // In a subshell, so that its end is seen whatever it does; bash itself reads what follows.
    socket.write(`(\n${script}\n) </dev/null\necho "exit=$?"\nexit\n`);
    let text = '';
    const read = async () => {
      for await (const chunk of socket) {
        text += String(chunk);
        if (text.length > MAX_OUTPUT_BYTES) {
          throw new OffloadError('runtime_failed', `${what}: over ${MAX_OUTPUT_BYTES} bytes of output`);
        }
      }
    };
    await withDeadline(read(), timeoutMs, what);
    const end = /(?:^|\n)exit=(\d+)\n$/.exec(text);
    if (end?.[1] !== '0') {
      throw new OffloadError('runtime_failed', `${what}: ${text.trim().slice(-400) || 'no output'}`);
    }
    return text.slice(0, end.index + (text[end.index] === '\n' ? 1 : 0));
  } finally {
    socket.destroy();
  }
}
