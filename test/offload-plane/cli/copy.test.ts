import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type Header, pack as packTar } from 'tar-stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fromGuest } from '../../../offload-plane/cli/copy/guest-tar.ts';
import { parseEnd, place, type Target } from '../../../offload-plane/cli/copy/place.ts';
import { pack, packArgs, unpack } from '../../../offload-plane/cli/copy/tar.ts';
import { parseTime } from '../../../offload-plane/cli/times.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

test('an end of a copy is a path in a container, a path here, or a tar', () => {
  assert.equal(parseEnd('web:/etc/hosts'), { kind: 'container', container: 'web', path: '/etc/hosts' });
  assert.equal(parseEnd('web:etc'), { kind: 'container', container: 'web', path: '/etc' });
  assert.equal(parseEnd('./a:b'), { kind: 'local', path: './a:b' });
  assert.equal(parseEnd('/a'), { kind: 'local', path: '/a' });
  assert.equal(parseEnd('-'), { kind: 'tar' });
});

test('a copy goes where docker cp would put it', () => {
  const file = { path: '/from/name', isDirectory: false };
  const tree = { path: '/from/tree', isDirectory: true };
  const contents = { path: '/from/tree/.', isDirectory: true };
  const at = (path: string, kind: Target['kind']) => ({ path, kind });
  assert.equal(place(file, at('/to', 'directory')), { directory: '/to', name: 'name' });
  assert.equal(place(file, at('/to/new', 'missing')), { directory: '/to', name: 'new' });
  assert.equal(place(file, at('/to/old', 'other')), { directory: '/to', name: 'old' });
  assert.equal(place(tree, at('/to', 'directory')), { directory: '/to', name: 'tree' });
  assert.equal(place(tree, at('/to/new/', 'missing')), { directory: '/to', name: 'new' });
  assert.equal(place(contents, at('/to', 'directory')), { directory: '/to', name: '.' });
  assert.throws(() => place(file, at('/to/new/', 'missing')), /there is no such directory/);
  assert.throws(() => place(tree, at('/to/old', 'other')), /cannot take a file's place/);
});

test('names are taken as they are, whatever a pattern would make of them', () => {
  const args = packArgs('/from/a.b*[c]|$', 'x&|y');
  assert.ok(args.includes('--transform=s|^a\\.b\\*\\[c\\]\\|\\$|x\\&\\|y|rhS'));
});

test('what is packed under another name arrives under it, with links that lead where they led', async () => {
  const directory = tempDirectory('copy');
  mkdirSync(join(directory, 'a.b&|/sub'), { recursive: true });
  writeFileSync(join(directory, 'a.b&|/sub/file'), 'content');
  symlinkSync('a.b', join(directory, 'a.b&|/link'));
  const { tar, done } = pack(join(directory, 'a.b&|'), 'new&name');
  mkdirSync(join(directory, 'out'));
  await unpack(fromGuest(tar, 'new&name'), join(directory, 'out'));
  await done;
  const out = join(directory, 'out/new&name');
  assert.is(readFileSync(join(out, 'sub/file'), 'utf8'), 'content');
  assert.is(execFileSync('readlink', [join(out, 'link')], { encoding: 'utf8' }), 'a.b\n');
});

function tarOf(...entries: (Partial<Header> & { name: string; text?: string })[]): Readable {
  const out = packTar();
  for (const { text = '', ...header } of entries) out.entry(header as Header, text);
  out.finalize();
  return Readable.from(out, { objectMode: false });
}

test('a tar of a guest is unpacked below one name, without its special bits', async () => {
  const directory = tempDirectory('copy');
  const tar = tarOf(
    { name: 'tree/', type: 'directory', mode: 0o755 },
    { name: 'tree/tool', text: 'x', mode: 0o4755 },
  );
  await unpack(fromGuest(tar, 'mine'), directory);
  assert.equal(readdirSync(directory), ['mine']);
  assert.is(statSync(join(directory, 'mine/tool')).mode & 0o7777, 0o755);
});

test('a guest that names what is outside, or sends a device, is refused', async () => {
  const hostile: (Partial<Header> & { name: string })[][] = [
    [{ name: '/etc/passwd' }],
    [{ name: 'tree/../../etc/passwd' }],
    [{ name: 'tree/a' }, { name: 'other/b' }],
    [{ name: 'tree/a', type: 'link', linkname: '/etc/passwd' }],
    [{ name: 'tree/a', type: 'link', linkname: 'elsewhere' }],
    [{ name: 'tree/a', type: 'block-device' }],
    [{ name: 'tree/a', type: 'fifo' }],
  ];
  for (const entries of hostile) {
    const error = await buffer(fromGuest(tarOf(...entries), 'mine')).catch((reason: Error) => reason);
    assert.match(String(error), /the guest sent what cannot be taken/, JSON.stringify(entries));
  }
});

test('a link of the guest that leads out is not written through', async () => {
  const directory = tempDirectory('copy');
  const outside = tempDirectory('outside');
  const tar = tarOf(
    { name: 'tree/', type: 'directory', mode: 0o755 },
    { name: 'tree/way', type: 'symlink', linkname: outside },
    { name: 'tree/way/planted', text: 'x', mode: 0o644 },
  );
  await unpack(fromGuest(tar, 'tree'), directory).catch(() => undefined);
  assert.not(existsSync(join(outside, 'planted')));
});

test('a tar that breaks off is an error', async () => {
  const bytes = await buffer(tarOf({ name: 'file', text: 'x'.repeat(5_000), mode: 0o644 }));
  const half = Readable.from([bytes.subarray(0, 2_000)], { objectMode: false });
  const error = await unpack(fromGuest(half, 'file'), tempDirectory('copy')).catch((reason: Error) => reason);
  assert.instance(error, Error);
});

test('times are absolute, in seconds, or so long ago', () => {
  assert.is(parseTime('1700000000.5', 0), '1700000000.5');
  assert.is(parseTime('2026-01-01T00:00:00Z', 0), '1767225600.000');
  assert.is(parseTime('1h30m', 10_000_000), '4600.000');
  assert.throws(() => parseTime('yesterday', 0), /expected a time/);
});

test.run();
