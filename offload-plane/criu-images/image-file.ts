/**
 * CRIU's image files: two magic numbers (the inventory has one), then messages of protobuf, each with a
 * u32 length before it, little-endian.
 */
import { OffloadError } from '../../platform/errors.ts';
import { allowMessages, decodeMessage, type Message, type Shape } from './wire.ts';

const COMMON_MAGIC = 0x54564319;
const MAX_ENTRIES = 1 << 20;

/** The second number of those images that are read here. */
const ImageMagic = {
  pstree: 0x50273030,
  fdinfo: 0x56213732,
  pagemap: 0x56084025,
  core: 0x55053847,
  ids: 0x54432030,
  files: 0x56303138,
  mm: 0x57492820,
  utsns: 0x54473203,
} as const;

export type ImageKind = keyof typeof ImageMagic;

/** @throws {OffloadError} invalid_checkpoint, naming the image and what is wrong with it */
export function invalidImage(name: string, what: string): OffloadError {
  return new OffloadError('invalid_checkpoint', `read image ${name}: ${what}`);
}

/** The bytes of each message. @throws {OffloadError} invalid_checkpoint */
export function imageEntries(name: string, kind: ImageKind, image: Buffer): Buffer[] {
  if (image.length < 8 || image.readUInt32LE(0) !== COMMON_MAGIC) throw invalidImage(name, 'it is no image');
  if (image.readUInt32LE(4) !== ImageMagic[kind]) throw invalidImage(name, `it is no ${kind} image`);
  const entries: Buffer[] = [];
  for (let at = 8; at < image.length; ) {
    const left = image.length - at - 4;
    const length = left < 0 ? Number.POSITIVE_INFINITY : image.readUInt32LE(at);
    if (length > left) throw invalidImage(name, `its message ${entries.length} ends past the file`);
    if (entries.length >= MAX_ENTRIES) throw invalidImage(name, `it has more than ${MAX_ENTRIES} messages`);
    entries.push(image.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return entries;
}

/** @param allowance shared by images that are read together. @throws {OffloadError} invalid_checkpoint */
export function readImageFile<S extends Shape>(
  name: string,
  kind: ImageKind,
  shape: S,
  image: Buffer,
  allowance = allowMessages(),
): Message<S>[] {
  return imageEntries(name, kind, image).map((entry, i) => {
    try {
      return decodeMessage(shape, entry, allowance);
    } catch (error) {
      throw invalidImage(name, `its message ${i}: ${(error as Error).message}`);
    }
  });
}

/** An image of one message. @throws {OffloadError} invalid_checkpoint */
export function readOnly<S extends Shape>(
  name: string,
  kind: ImageKind,
  shape: S,
  image: Buffer,
  allowance = allowMessages(),
): Message<S> {
  const messages = readImageFile(name, kind, shape, image, allowance);
  if (messages.length === 1) return messages[0]!;
  throw invalidImage(name, `it has ${messages.length} messages, not one`);
}

/** An image of these messages. */
export function writeImageFile(kind: ImageKind, entries: readonly Uint8Array[]): Buffer {
  const parts = entries.flatMap((entry) => [uint32Bytes(entry.length), entry]);
  return Buffer.concat([uint32Bytes(COMMON_MAGIC), uint32Bytes(ImageMagic[kind]), ...parts]);
}

function uint32Bytes(value: number): Buffer {
  const encoded = Buffer.alloc(4);
  encoded.writeUInt32LE(value);
  return encoded;
}
