/** Values as people read them in a table. */

const KEPT_DIGITS = 3;
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const STEPS: readonly [unit: string, seconds: number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** `12.3MiB`, as Docker's tables have it. */
export function shortBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
  const value = bytes / 1024 ** power;
  return `${Number(value.toPrecision(value >= 100 ? Math.trunc(value).toString().length : KEPT_DIGITS))}${UNITS[power]}`;
}

/** `3 minutes`, of the largest unit that it fills. */
export function duration(ms: number): string {
  const seconds = ms / 1_000;
  const [unit, length] = STEPS.find(([, length]) => seconds >= length) ?? ['second', 1];
  const count = Math.floor(seconds / length);
  if (count < 1) return 'less than a second';
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

/** `3 minutes ago`. A clock that is ahead of ours says the same as now. */
export const age = (since: string | undefined, nowMs: number): string =>
  since === undefined ? '-' : `${duration(Math.max(0, nowMs - Date.parse(since)))} ago`;

/** `12.3 ms`, `4.56 s`; nothing yet is a dash. */
export function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return '-';
  return ms < 1_000 ? `${ms.toFixed(1)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}

export const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;
