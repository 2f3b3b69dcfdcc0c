/**
 * Mounts below a directory, so that deleting a run never reaches through one.
 */
import { readFileSync } from 'node:fs';
import { type RunProcess, runProcess } from '../../platform/processes.ts';

/** Mount points at or below `directory`, the deepest first. Pure. */
export function mountsBelow(directory: string, procMounts: string): string[] {
  return procMounts
    .split('\n')
    .map((line) => decode(line.split(' ')[1] ?? ''))
    .filter((point) => point === directory || point.startsWith(`${directory}/`))
    .reverse();
}

/** /proc/self/mounts writes blanks and backslashes as three octal digits. */
function decode(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

export async function unmountBelow(directory: string, run: RunProcess = runProcess): Promise<void> {
  const points = mountsBelow(directory, readFileSync('/proc/self/mounts', 'utf8'));
  for (const point of points) await run('umount', ['-l', point], { timeoutMs: 30_000 });
}
