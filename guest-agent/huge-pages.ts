/**
 * Transparent huge pages have to wait until they are asked for (madvise). When CRIU installs a page of a
 * range whose rest the pager shall bring, before the range is registered with userfaultfd, a kernel set to
 * `always` answers with 2 MiB of which the other 511 pages are zero, and they never fault again
 * (Documentation/admin-guide/mm/transhuge.rst; CRIU guards against this for chains of dumps only).
 */
import { readFile, writeFile } from 'node:fs/promises';

const SETTING = '/sys/kernel/mm/transparent_hugepage/enabled';

/** @throws when the kernel keeps `always`; a kernel without the feature is fine */
export async function restrainHugePages(path = SETTING): Promise<void> {
  const current = await readFile(path, 'utf8').catch(() => undefined);
  if (current === undefined || !current.includes('[always]')) return;
  await writeFile(path, 'madvise');
  if ((await readFile(path, 'utf8')).includes('[always]')) {
    throw new Error(`transparent huge pages: ${path} stays at always, restored memory could read as zero`);
  }
}
