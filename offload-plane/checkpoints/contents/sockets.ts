/** Sockets in words: protocols, states and addresses as ss(8) shows them. */
import type { FileEntry } from '../../criu-images/messages.ts';
import type { Message } from '../../criu-images/wire.ts';
import type { SocketView } from './contract.ts';

type FileOf = Message<typeof FileEntry>;

const AF_INET6 = 10;
const SOCK_STREAM = 1;
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmp6',
  136: 'udplite',
};
/** The kernel's TCP states; other protocols use two of them. */
const STATES = [
  'unknown',
  'established',
  'syn-sent',
  'syn-received',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'closed',
  'close-wait',
  'last-ack',
  'listening',
  'closing',
];
const UNIX_TYPES = ['', 'stream', 'datagram', '', '', 'seqpacket'];
const LISTENING = 10;

export function inetSocket(socket: NonNullable<FileOf['inet']>): SocketView {
  const { family, protocol, state, sourcePort, destinationPort, backlog } = socket;
  const name = PROTOCOLS[protocol] ?? `protocol ${protocol}`;
  return {
    protocol: family === AF_INET6 ? `${name}6` : name,
    state: STATES[state] ?? `state ${state}`,
    local: endpoint(family, socket.source, sourcePort),
    ...(destinationPort === 0 ? {} : { remote: endpoint(family, socket.destination, destinationPort) }),
    ...(state === LISTENING ? { backlog } : {}),
  };
}

export function unixSocket(socket: NonNullable<FileOf['unix']>): SocketView {
  const { type, state, name, peer, backlog } = socket;
  const local = unixName(name);
  return {
    protocol: `unix ${UNIX_TYPES[type] || `type ${type}`}`,
    // A datagram socket is never connected in the kernel's eyes.
    state: STATES[state] ?? `state ${state}`,
    ...(local === '' ? {} : { local }),
    ...(peer === 0 ? {} : { remote: `inode ${peer}` }),
    ...(state === LISTENING && type === SOCK_STREAM ? { backlog } : {}),
  };
}

export function netlinkSocket(socket: NonNullable<FileOf['netlink']>): SocketView {
  return { protocol: `netlink ${socket.protocol}`, state: 'closed' };
}

/** An abstract name begins with a zero byte, for which an `@` stands. */
function unixName(name: Uint8Array): string {
  const path = Buffer.from(name).toString();
  return path.startsWith('\0') ? `@${path.slice(1)}` : path.replace(/\0.*$/s, '');
}

function endpoint(family: number, words: readonly number[], port: number): string {
  const bytes = Buffer.concat([addressBytes(words), Buffer.alloc(16)]);
  if (family !== AF_INET6) return `${[...bytes.subarray(0, 4)].join('.')}:${port}`;
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  // A URL has the short form of it.
  return `${new URL(`http://[${groups.join(':')}]`).hostname}:${port}`;
}

/** CRIU keeps an address as the words it has in memory. */
export function addressBytes(words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(words.length * 4);
  for (const [i, word] of words.entries()) bytes.writeUInt32LE(word, i * 4);
  return bytes;
}
