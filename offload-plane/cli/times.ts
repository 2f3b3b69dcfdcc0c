/** Times as people give them: absolute, in seconds since 1970, or so long ago. */
import { InvalidArgumentError } from 'commander';

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** @returns seconds since 1970 */
export function parseTime(text: string, nowMs: number): string {
  if (/^\d{1,12}(\.\d{1,9})?$/.test(text)) return text;
  if (/^(\d{1,9}[smhd])+$/.test(text)) {
    const ago = [...text.matchAll(/(\d+)([smhd])/g)].reduce(
      (sum, [, count, unit = 's']) => sum + Number(count) * (SECONDS[unit] ?? 1),
      0,
    );
    return Math.max(0, nowMs / 1000 - ago).toFixed(3);
  }
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError(
      'expected a time (2026-01-31T12:00:00Z), seconds since 1970, or how long ago (10m)',
    );
  }
  return (ms / 1000).toFixed(3);
}
