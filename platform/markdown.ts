/** Parts of documents that are made from what they tell of. */
import { OffloadError } from './errors.ts';

export function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...lines.map(line)].join('\n');
}

/** Text as a cell of a table: on one line, and without what would end the cell. */
export const cell = (text: string): string => text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').trim();

/** Puts it between two marker lines of a document. */
export function betweenMarkers(
  document: string,
  [beginLine, endLine]: readonly [string, string],
  markdown: string,
): string {
  const [begin, end] = [document.indexOf(beginLine), document.indexOf(endLine)];
  if (begin < 0 || end < begin) {
    throw new OffloadError(
      'invalid_request',
      `the document needs the lines ${beginLine} and ${endLine}, in this order`,
    );
  }
  return `${document.slice(0, begin + beginLine.length)}\n\n${markdown.trim()}\n\n${document.slice(end)}`;
}
