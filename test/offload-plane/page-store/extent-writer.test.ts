/** Extents go past the page cache as long as the device takes them, and into it when it does not. */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EXTENT_BYTES, ExtentWriter } from '../../../offload-plane/page-store/extent-writer.ts';
import { PagesFile } from '../../../offload-plane/page-store/pages-file.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { PAGE, pages } from './fixture.ts';

type Write = (bytes: Buffer, offset: number, length: number, position: number) => Promise<unknown>;

/** A file whose writes past the page cache do what the test says. */
async function makeFile(writeDirect: (real: Write) => Write) {
  const path = join(tempDirectory('extents'), 'pages');
  const cached = await open(path, 'wx');
  const direct = await open(path, 'r+');
  let cachedBytes = 0;
  const realCached = cached.write.bind(cached) as unknown as Write;
  cached.write = ((...args: Parameters<Write>) => {
    cachedBytes += args[2];
    return realCached(...args);
  }) as never;
  direct.write = writeDirect(direct.write.bind(direct) as unknown as Write) as never;
  return { file: new PagesFile(cached, direct), path, cachedBytes: () => cachedBytes };
}

const EXTENT_PAGES = EXTENT_BYTES / PAGE;

async function appendAll(writer: ExtentWriter, content: Buffer): Promise<void> {
  for (let at = 0; at < content.length; at += EXTENT_BYTES) {
    writer.append(content, at, Math.min(content.length, at + EXTENT_BYTES));
    await writer.backpressure();
  }
  await writer.finish();
}

test('a device that keeps up takes every extent past the page cache, the last short one included', async () => {
  const { file, path, cachedBytes } = await makeFile((real) => real);
  const content = pages(EXTENT_PAGES * 2 + 3);
  await appendAll(new ExtentWriter(file), content);
  await file.close();
  assert.is(cachedBytes(), 0);
  assert.ok((await readFile(path)).equals(content));
});

test('the page cache takes the rest when the device falls behind, and every byte is in its place', async () => {
  const parked = Promise.withResolvers<void>();
  let directCount = 0;
  const { file, path, cachedBytes } = await makeFile((real) => async (...args) => {
    directCount++;
    await parked.promise;
    return real(...args);
  });
  const content = pages(EXTENT_PAGES * 12);
  const writer = new ExtentWriter(file);
  for (let at = 0; at < content.length; at += EXTENT_BYTES) writer.append(content, at, at + EXTENT_BYTES);
  assert.is(directCount, 8);
  parked.resolve();
  await writer.finish();
  await file.close();
  assert.is(cachedBytes(), 4 * EXTENT_BYTES);
  assert.ok((await readFile(path)).equals(content));
});

test('a device that refuses such writes gets every extent through the page cache', async () => {
  const refuse = async () => {
    throw Object.assign(new Error('invalid argument'), { code: 'EINVAL' });
  };
  const { file, path, cachedBytes } = await makeFile(() => refuse);
  const content = pages(EXTENT_PAGES + 1);
  await appendAll(new ExtentWriter(file), content);
  await file.close();
  assert.is(cachedBytes(), content.length);
  assert.ok((await readFile(path)).equals(content));
});

test('a write that fails for want of space is told at the next append and at the end', async () => {
  const full = async () => {
    throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
  };
  const { file } = await makeFile(() => full);
  const writer = new ExtentWriter(file);
  const content = pages(EXTENT_PAGES);
  writer.append(content, 0, content.length);
  const error = await writer.finish().catch((thrown: NodeJS.ErrnoException) => thrown.code);
  assert.is(error, 'ENOSPC');
  assert.is(await writer.backpressure()?.catch((thrown: NodeJS.ErrnoException) => thrown.code), 'ENOSPC');
  await file.close();
});

test.run();
