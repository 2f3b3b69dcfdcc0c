/** Kubernetes' channels on a WebSocket: the first byte of each message says what the rest is. */
export const PROTOCOL = 'v5.channel.k8s.io';
export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, end: 3, resize: 4 } as const;

/** A browser can send no header with a WebSocket; this is the name under which Kubernetes takes a token. */
export function protocols(token: string | null): string[] {
  return token === null
    ? [PROTOCOL]
    : [PROTOCOL, `base64url.bearer.authorization.k8s.io.${base64url(token)}`];
}

export function message(channel: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(1 + payload.length);
  bytes[0] = channel;
  bytes.set(payload, 1);
  return bytes;
}

export const resize = (columns: number, rows: number): Uint8Array<ArrayBuffer> =>
  message(CHANNEL.resize, new TextEncoder().encode(JSON.stringify({ Width: columns, Height: rows })));

export function parse(data: ArrayBuffer): { channel: number; payload: Uint8Array } {
  return {
    channel: new Uint8Array(data)[0] ?? -1,
    payload: new Uint8Array(data, Math.min(1, data.byteLength)),
  };
}

/** How it ended, in words. */
export function describeEnd(payload: Uint8Array): string {
  const ending = JSON.parse(new TextDecoder().decode(payload)) as Partial<Record<string, unknown>>;
  if (typeof ending.exitCode === 'number') return `ended with exit code ${ending.exitCode}`;
  if (ending.detached === true) return 'detached; it runs on';
  return String(ending.error ?? 'ended');
}

const base64url = (text: string): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');
