/** checkpointctl from Debian, with the loader and libraries it was made for: another reader of our exports. */
import { join } from 'node:path';
import { runTool } from '../../offload-plane/images/run-tool.ts';
import { debianPrograms } from '../../testbed/native/debian-programs.ts';

const PROGRAM = 'usr/bin/checkpointctl';
const TIMEOUT_MS = 60_000;

/** Answers what it printed. */
export async function checkpointctl(...args: string[]): Promise<string> {
  const tree = await debianPrograms(PROGRAM);
  const libraries = join(tree, 'usr/lib/x86_64-linux-gnu');
  const loader = join(libraries, 'ld-linux-x86-64.so.2');
  const argv = ['--library-path', libraries, join(tree, PROGRAM), ...args];
  return await runTool(loader, argv, { timeoutMs: TIMEOUT_MS });
}
