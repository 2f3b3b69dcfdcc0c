/**
 * A tar from a guest, which is not trusted, made fit to be unpacked here: every path stays below one name,
 * which may be another than it was; links lead where they lead, and GNU tar makes those that lead out last.
 */
import { Readable } from 'node:stream';
import { type Header, pack } from 'tar-stream';
import { OffloadError } from '../../../platform/errors.ts';
import { readTar } from '../../../platform/read-tar.ts';

const TYPES = new Set(['file', 'directory', 'symlink', 'link', 'contiguous-file']);
const PERMISSIONS = 0o777;

/** @throws (through the stream) {OffloadError} invalid_request for what is none of that */
export function fromGuest(tar: Readable, name: string): Readable {
  const out = pack();
  void carry(tar, name, out).then(
    () => out.finalize(),
    (error: Error) => out.destroy(error),
  );
  return Readable.from(out, { objectMode: false });
}

async function carry(tar: Readable, name: string, out: ReturnType<typeof pack>): Promise<void> {
  const entries = readTar();
  tar.on('error', (error) => entries.destroy(error));
  tar.pipe(entries);
  let top: string | undefined;
  for await (const entry of entries) {
    const header = entry.header;
    top ??= partsOf(header.name)[0] ?? '.';
    const renamed = renameEntry(header, top, name);
    await new Promise<void>((resolve, reject) => {
      const target = out.entry(renamed, (error) => (error ? reject(error) : resolve()));
      entry.on('error', reject);
      target.on('error', reject);
      entry.pipe(target);
    });
  }
}

function renameEntry(header: Header, top: string, name: string): Header {
  const type = header.type ?? 'file';
  if (!TYPES.has(type)) throw refusal(`${header.name} is a ${type}`);
  const isLink = type === 'link';
  return {
    ...header,
    name: belowTop(header.name, top, name),
    mode: (header.mode ?? 0) & PERMISSIONS,
    ...(isLink ? { linkname: belowTop(header.linkname ?? '', top, name) } : {}),
    pax: null,
  } as Header;
}

const partsOf = (path: string) => path.split('/').filter((part) => part !== '' && part !== '.');

function belowTop(path: string, top: string, name: string): string {
  const parts = partsOf(path);
  const below = top === '.' ? parts : parts.slice(1);
  if (path.startsWith('/') || parts.includes('..') || (top !== '.' && parts[0] !== top)) {
    throw refusal(`${JSON.stringify(path)} is not below ${top}`);
  }
  return [name, ...below].join('/');
}

const refusal = (reason: string) =>
  new OffloadError('invalid_request', `copy from container: the guest sent what cannot be taken: ${reason}`);
