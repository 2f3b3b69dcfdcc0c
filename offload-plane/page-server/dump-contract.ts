/** What receiving a dump over CRIU's page-server wire takes and gives. */

export interface DumpOptions {
  /** No byte for so long ends the dump. */
  idleDeadlineMs: number;
  /** All pages of the dump. Default 2^26 (256 GiB). */
  maxPageCount?: number;
  /** Called as they come, with how many that are until then. */
  onPages?: (pageCount: number) => void;
}

export interface DumpSummary {
  pageCount: number;
  lazyPageCount: number;
  /** Of all pages, those that did not cross: they are as in the checkpoint's parent. */
  inheritedPageCount: number;
  targetCount: number;
  /** Everything read from the stream, headers included. */
  receivedBytes: number;
  durationMs: number;
}
