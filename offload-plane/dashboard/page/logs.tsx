/** A container's output as it comes. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { appendLines } from './log-lines.ts';
import { Modal } from './parts.tsx';
import { follow, part } from './plane.ts';

const TAIL_LINES = 500;
/** So near the end one is at the end. */
const END_PIXELS = 24;

export function LogsDialog({ container, onClose }: { container: string; onClose: () => void }) {
  const [lines, setLines] = useState<string[]>([]);
  const [state, setState] = useState('following');
  const output = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);

  useEffect(() => {
    const stop = new AbortController();
    let kept: string[] = [];
    let frame = 0;
    const show = () => {
      frame = 0;
      setLines(kept);
    };
    const onText = (text: string) => {
      kept = appendLines(kept, text);
      frame ||= requestAnimationFrame(show);
    };
    follow(`/v1/containers/${part(container)}/logs?follow=true&tail=${TAIL_LINES}`, onText, stop.signal).then(
      () => setState('the output has ended'),
      (error: Error) => {
        if (!stop.signal.aborted) setState(`no more output: ${error.message}`);
      },
    );
    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
    };
  }, [container]);
  useEffect(() => {
    const element = output.current!;
    if (atEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines]);

  const onScroll = () => {
    const { scrollTop, clientHeight, scrollHeight } = output.current!;
    atEnd.current = scrollTop + clientHeight >= scrollHeight - END_PIXELS;
  };
  return (
    <Modal title={`Logs of ${container}`} wide onClose={onClose}>
      <pre
        ref={output}
        class="output"
        role="log"
        tabindex={0}
        aria-label={`Output of ${container}`}
        onScroll={onScroll}
      >
        {lines.length === 0 ? 'No output yet.' : lines.join('\n')}
      </pre>
      <p class="facts" role="status">
        {state}
      </p>
    </Modal>
  );
}
