/** Figures of several things at once, asked for while they are shown. */
import { useEffect, useState } from 'preact/hooks';

/** By name; a name that gives no answer keeps its last one until it goes. */
export function usePoll<T>(
  names: readonly string[],
  ask: (name: string) => Promise<T>,
  intervalMs: number,
): ReadonlyMap<string, T> {
  const [answers, setAnswers] = useState<ReadonlyMap<string, T>>(new Map());
  const key = names.join('\n');
  useEffect(() => {
    let stopped = false;
    let timer: ReturnType<typeof setTimeout>;
    const wanted = key === '' ? [] : key.split('\n');
    async function round(): Promise<void> {
      const given = document.hidden ? [] : await Promise.allSettled(wanted.map(ask));
      if (stopped) return;
      setAnswers((old) => {
        const next = new Map([...old].filter(([name]) => wanted.includes(name)));
        given.forEach((answer, index) => {
          if (answer.status === 'fulfilled') next.set(wanted[index]!, answer.value);
        });
        return next;
      });
      timer = setTimeout(() => void round(), intervalMs);
    }
    void round();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [key, intervalMs]);
  return answers;
}
