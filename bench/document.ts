/** Tables in documents come from a run and from nowhere else: they are put between two marker lines. */
import { OffloadError } from '../platform/errors.ts';

/** A bench's name in its markers. */
export type BenchName = 'restore' | 'guest cost' | 'load';

const beginOf = (bench: BenchName) => `<!-- ${bench} bench: begin -->`;
const endOf = (bench: BenchName) => `<!-- ${bench} bench: end -->`;

/** Puts it between the two marker lines of a document. */
export function intoDocument(document: string, bench: BenchName, markdown: string): string {
  const [beginLine, endLine] = [beginOf(bench), endOf(bench)];
  const [begin, end] = [document.indexOf(beginLine), document.indexOf(endLine)];
  if (begin < 0 || end < begin) {
    throw new OffloadError(
      'invalid_request',
      `the document needs the lines ${beginLine} and ${endLine}, in this order`,
    );
  }
  return `${document.slice(0, begin + beginLine.length)}\n\n${markdown}\n${document.slice(end)}`;
}

export function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...lines.map(line)].join('\n');
}
