/**
 * The text format of the pager's stand-alone mode: a line `offload-order 1`, then a line
 * `task vaddr-hex microseconds` for each page in order of first touch.
 */
import { OffloadError } from '../../platform/errors.ts';
import type { OrderEntry } from './contract.ts';

const HEADER = 'offload-order 1';
const LINE = /^(\d{1,10}) (?:0x)?([0-9a-f]{1,16}) (\d{1,15})$/;

export function formatOrderText(entries: readonly OrderEntry[]): string {
  const lines = entries.map(
    ({ task, vaddr, timeUs }) => `${task} ${vaddr.toString(16)} ${Math.round(timeUs)}`,
  );
  return `${[HEADER, ...lines].join('\n')}\n`;
}

/** @throws {OffloadError} invalid_request, naming the line. */
export function parseOrderText(text: string): OrderEntry[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (lines[0] !== HEADER) {
    throw new OffloadError('invalid_request', `order log: first line is not "${HEADER}"`);
  }
  return lines.slice(1).map((line, i) => {
    const [, task, vaddr, timeUs] = LINE.exec(line) ?? [];
    if (task === undefined || vaddr === undefined) {
      throw new OffloadError('invalid_request', `order log: line ${i + 2} is no "task vaddr microseconds"`);
    }
    return { task: Number(task), vaddr: BigInt(`0x${vaddr}`), timeUs: Number(timeUs) };
  });
}
