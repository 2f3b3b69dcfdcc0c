/**
 * What of CRIU's images names the container itself, changed for a clone: its hostname, and its own address
 * wherever a socket is bound or connected to it. The clone has a network namespace of its own with another
 * address, so a socket that kept the old one could not be bound, and CRIU would fail.
 */
import { addressBytes } from '../checkpoints/contents/sockets.ts';
import { withBytes, withUint32List } from '../criu-images/edit.ts';
import { imageEntries, invalidImage, readOnly, writeImageFile } from '../criu-images/image-file.ts';
import { FileEntry, UtsEntry } from '../criu-images/messages.ts';
import { allowMessages, bytes, decodeMessage } from '../criu-images/wire.ts';

export interface NewIdentity {
  hostname: string;
  /** IPv4, with or without prefix length. */
  oldAddress: string;
  newAddress: string;
}

const UTS_IMAGE = /^utsns-\d{1,10}\.img$/;
const AF_INET = 2;
const AF_INET6 = 10;
/** Numbers of fields. */
const NODE_NAME = 1;
const INET_FIELD = 4;
const SOURCE = 11;
const DESTINATION = 12;
/** An IPv4 address within IPv6: ten bytes of zero, two of ones, and the address. */
const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/** @throws {OffloadError} invalid_checkpoint */
export function withNewIdentity(name: string, image: Buffer, identity: NewIdentity): Buffer {
  try {
    if (UTS_IMAGE.test(name)) return withHostname(name, image, identity.hostname);
    return name === 'files.img' ? withAddress(name, image, identity) : image;
  } catch (error) {
    throw invalidImage(name, (error as Error).message);
  }
}

function withHostname(name: string, image: Buffer, hostname: string): Buffer {
  readOnly(name, 'utsns', UtsEntry, image);
  const entries = imageEntries(name, 'utsns', image);
  return writeImageFile(
    'utsns',
    entries.map((entry) => withBytes(entry, NODE_NAME, Buffer.from(hostname))),
  );
}

function withAddress(name: string, image: Buffer, identity: NewIdentity): Buffer {
  const rename = addressChange(identity);
  const allowance = allowMessages();
  const entries = imageEntries(name, 'files', image).map((entry) => {
    const { inet } = decodeMessage({ inet: FileEntry.inet }, entry, allowance);
    if (inet === undefined) return entry;
    const { family } = inet;
    const [source, destination] = [rename(family, inet.source), rename(family, inet.destination)];
    if (source === undefined && destination === undefined) return entry;
    let { socket } = decodeMessage({ socket: bytes(INET_FIELD) }, entry, allowance);
    if (source !== undefined) socket = withUint32List(socket, SOURCE, source);
    if (destination !== undefined) socket = withUint32List(socket, DESTINATION, destination);
    return withBytes(entry, INET_FIELD, socket);
  });
  return writeImageFile('files', entries);
}

/** Answers an address's words after the change, or undefined when it is another address. */
function addressChange({ oldAddress, newAddress }: NewIdentity) {
  const [before, after] = [oldAddress, newAddress].map(toBytes) as [Buffer, Buffer];
  const mapped = Buffer.concat([MAPPED_PREFIX, before]);
  return (family: number, words: readonly number[]): number[] | undefined => {
    const own = addressBytes(words);
    if (family === AF_INET && own.subarray(0, 4).equals(before)) return toWords(after);
    if (family === AF_INET6 && own.equals(mapped)) return toWords(Buffer.concat([MAPPED_PREFIX, after]));
    return undefined;
  };
}

const toBytes = (address: string): Buffer => Buffer.from(address.replace(/\/.*/, '').split('.').map(Number));

const toWords = (address: Buffer): number[] =>
  Array.from({ length: address.length / 4 }, (_, i) => address.readUInt32LE(i * 4));
