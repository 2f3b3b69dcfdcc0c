/** Tables in documents come from a run and from nowhere else: they are put between two marker lines. */
import { betweenMarkers } from '../platform/markdown.ts';

/** A bench's name in its markers. */
export type BenchName = 'restore' | 'guest cost' | 'load';

/** Puts it between the two marker lines of a document. */
export const intoDocument = (document: string, bench: BenchName, markdown: string): string =>
  betweenMarkers(document, [`<!-- ${bench} bench: begin -->`, `<!-- ${bench} bench: end -->`], markdown);
