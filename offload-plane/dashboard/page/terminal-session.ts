/** xterm.js on one end, a program's WebSocket on the other. Loaded when the first terminal is opened. */
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import { CHANNEL, describeEnd, message, parse, protocols, resize } from './channels.ts';
import { part } from './plane.ts';
import { colourOf, onSchemeChange } from './scheme.ts';
import { token } from './token.ts';

/** A browser cannot hold a WebSocket back: output that it has not drawn may not grow beyond this. */
const MAX_UNDRAWN_BYTES = 16 * 1024 * 1024;
const SCROLLBACK_LINES = 5_000;

type Create = (size: { columns: number; rows: number }) => Promise<{ id: string }>;

/** Resolves when the program runs; gives what closes the terminal. */
export async function openTerminal(
  element: HTMLElement,
  create: Create,
  say: (state: string) => void,
): Promise<() => void> {
  allowOwnStyles();
  const terminal = new Terminal({
    scrollback: SCROLLBACK_LINES,
    fontSize: 13,
    screenReaderMode: true,
    theme: theme(),
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(element);
  fit.fit();
  const stopScheme = onSchemeChange(() => {
    terminal.options.theme = theme();
  });
  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(element);
  let socket: WebSocket | undefined;
  const close = () => {
    socket?.close();
    observer.disconnect();
    stopScheme();
    terminal.dispose();
  };
  try {
    const { id } = await create({ columns: terminal.cols, rows: terminal.rows });
    socket = join(terminal, id, say);
    terminal.focus();
    return close;
  } catch (error) {
    close();
    throw error;
  }
}

function join(terminal: Terminal, exec: string, say: (state: string) => void): WebSocket {
  const socket = new WebSocket(
    `${location.origin.replace(/^http/, 'ws')}/v1/execs/${part(exec)}/attach`,
    protocols(token()),
  );
  socket.binaryType = 'arraybuffer';
  let undrawnBytes = 0;
  let ended = false;
  const send = (channel: number, bytes: Uint8Array) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(message(channel, bytes));
  };
  const end = (text: string) => {
    if (ended) return;
    ended = true;
    say(text);
  };
  const encoder = new TextEncoder();
  terminal.onData((text) => send(CHANNEL.stdin, encoder.encode(text)));
  terminal.onBinary((text) =>
    send(
      CHANNEL.stdin,
      Uint8Array.from(text, (char) => char.charCodeAt(0)),
    ),
  );
  terminal.onResize(({ cols, rows }) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(resize(cols, rows));
  });
  socket.onopen = () => {
    say('connected');
    socket.send(resize(terminal.cols, terminal.rows));
  };
  socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
    const { channel, payload } = parse(data);
    if (channel === CHANNEL.end) return end(describeEnd(payload));
    if (channel !== CHANNEL.stdout && channel !== CHANNEL.stderr) return;
    undrawnBytes += payload.length;
    if (undrawnBytes > MAX_UNDRAWN_BYTES) {
      end(`closed: over ${MAX_UNDRAWN_BYTES} bytes of output waited to be drawn; the program runs on`);
      socket.close();
      return;
    }
    terminal.write(payload, () => {
      undrawnBytes -= payload.length;
    });
  };
  socket.onclose = ({ reason }) => end(reason || 'the connection is closed');
  return socket;
}

function theme() {
  const ink = colourOf('ink');
  return {
    background: colourOf('surface'),
    foreground: ink,
    cursor: ink,
    selectionBackground: colourOf('line'),
  };
}

let allowed = false;

/** xterm.js makes style elements; the page's policy takes those that carry the nonce it was sent with. */
function allowOwnStyles(): void {
  if (allowed) return;
  allowed = true;
  const nonce = document.querySelector('script')?.nonce ?? '';
  const create = document.createElement.bind(document) as (...args: unknown[]) => HTMLElement;
  document.createElement = ((...args: unknown[]) => {
    const element = create(...args);
    if (element instanceof HTMLStyleElement) element.nonce = nonce;
    return element;
  }) as typeof document.createElement;
}
