/** A restore's timeline as it grows, and as a chart takes it. */
import { useEffect, useState } from 'preact/hooks';
import type { TimelineLine } from '../../restores/follow-timeline.ts';
import type { TimelineMark, TimelineMarkAt, TimelineSample } from '../../restores/timeline.ts';
import { followLines, part } from './plane.ts';

export interface Pages {
  samples: readonly TimelineSample[];
  marks: readonly TimelineMarkAt[];
}

/** From what is brought first to what is brought last: lower in the chart, and over the next. */
export const CAUSES = [
  { key: 'filePageCount', name: 'before it ran', colour: 'file' },
  { key: 'pushedPageCount', name: 'pushed', colour: 'push' },
  { key: 'demandedPageCount', name: 'on a fault', colour: 'demand' },
  { key: 'filledPageCount', name: 'filled', colour: 'fill' },
] as const satisfies readonly { key: keyof TimelineSample; name: string; colour: string }[];

/** Lines come many a frame: they are shown once a frame. */
export function useTimeline(restore: string): Pages {
  const [pages, setPages] = useState<Pages>({ samples: [], marks: [] });
  useEffect(() => {
    const stop = new AbortController();
    let samples: TimelineSample[] = [];
    let marks: TimelineMarkAt[] = [];
    let frame = 0;
    const show = () => {
      frame = 0;
      setPages({ samples, marks });
    };
    const onLine = (line: TimelineLine) => {
      if ('sample' in line) samples = [...samples, line.sample];
      else marks = [...marks, line.mark];
      frame ||= requestAnimationFrame(show);
    };
    // What came before the connection broke stays on the screen; the next restore is followed anew.
    followLines(`/v1/restores/${part(restore)}/timeline?follow=true`, onLine, stop.signal).catch(
      () => undefined,
    );
    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
    };
  }, [restore]);
  return pages;
}

export const markOf = ({ marks }: Pages, name: TimelineMark): number | undefined =>
  marks.find(({ mark }) => mark === name)?.atMs;

/** Times, and for each cause the pages of it and of all below it. */
export function stacked(samples: readonly TimelineSample[]): number[][] {
  const sums = samples.map(() => 0);
  const layers = CAUSES.map(({ key }) =>
    samples.map((sample, index) => {
      sums[index] = sums[index]! + sample[key];
      return sums[index]!;
    }),
  );
  return [samples.map(({ atMs }) => atMs), ...layers];
}

/** The samples up to a time. */
export const until = (samples: readonly TimelineSample[], endMs: number): TimelineSample[] =>
  samples.filter(({ atMs }) => atMs <= endMs);
