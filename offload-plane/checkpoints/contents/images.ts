/** CRIU's images of one checkpoint, by what they are about. */
import { OffloadError } from '../../../platform/errors.ts';
import { readImageFile, readOnly } from '../../criu-images/image-file.ts';
import {
  CoreEntry,
  FdinfoEntry,
  FileEntry,
  IdsEntry,
  MmEntry,
  PstreeEntry,
  UtsEntry,
} from '../../criu-images/messages.ts';
import { allowMessages, type Message } from '../../criu-images/wire.ts';
import type { CheckpointReader } from '../../page-store/contract.ts';
import { MAX_IMAGE_BYTES, MAX_IMAGES_TOTAL_BYTES } from './limits.ts';

export type FileTable = ReadonlyMap<number, Message<typeof FileEntry>>;

export function imagesOf(reader: CheckpointReader) {
  const { id, files } = reader.manifest;
  const allowance = allowMessages();
  let bytesLeft = MAX_IMAGES_TOTAL_BYTES;

  const has = (name: string) => Object.hasOwn(files, `images/${name}`);

  async function read(name: string): Promise<Buffer> {
    const file = files[`images/${name}`];
    if (!has(name) || file === undefined) {
      throw new OffloadError('incomplete_checkpoint', `inspect checkpoint ${id}: it has no ${name}`);
    }
    const refuse = (what: string) =>
      new OffloadError('invalid_checkpoint', `inspect checkpoint ${id}: ${what}`);
    if (file.bytes > MAX_IMAGE_BYTES) {
      throw refuse(`${name} has ${file.bytes} bytes, limit ${MAX_IMAGE_BYTES} bytes`);
    }
    bytesLeft -= file.bytes;
    if (bytesLeft < 0) throw refuse(`its images are more than ${MAX_IMAGES_TOTAL_BYTES} bytes`);
    return await reader.readImage(name);
  }

  return {
    has,
    pstree: async () =>
      readImageFile('pstree.img', 'pstree', PstreeEntry, await read('pstree.img'), allowance),
    async core(tid: number) {
      const name = `core-${tid}.img`;
      return readOnly(name, 'core', CoreEntry, await read(name), allowance);
    },
    async mm(pid: number) {
      const name = `mm-${pid}.img`;
      return readOnly(name, 'mm', MmEntry, await read(name), allowance);
    },
    async descriptors(pid: number) {
      const idsName = `ids-${pid}.img`;
      const { filesId } = readOnly(idsName, 'ids', IdsEntry, await read(idsName), allowance);
      const name = `fdinfo-${filesId}.img`;
      return readImageFile(name, 'fdinfo', FdinfoEntry, await read(name), allowance);
    },
    async files(): Promise<FileTable> {
      const entries = readImageFile('files.img', 'files', FileEntry, await read('files.img'), allowance);
      return new Map(entries.map((entry) => [entry.id, entry]));
    },
    /** Of the container's own UTS namespace; undefined when it has none. */
    async hostname(): Promise<string | undefined> {
      const name = reader.imageFiles().find((image) => /^utsns-\d{1,10}\.img$/.test(image));
      if (name === undefined) return undefined;
      return readOnly(name, 'utsns', UtsEntry, await read(name), allowance).nodeName;
    },
  };
}
export type Images = ReturnType<typeof imagesOf>;
