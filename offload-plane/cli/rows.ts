/** Answers of the plane as an aligned table. */
import { styleText } from 'node:util';
import { printable } from './printable.ts';

function cellOf(value: unknown): string {
  if (value === undefined || value === null) return '-';
  if (Array.isArray(value)) return value.map(cellOf).join(', ') || '-';
  if (typeof value === 'object') {
    const { hostAddress, hostPort, containerPort } = value as Record<string, unknown>;
    return hostPort === undefined ? JSON.stringify(value) : `${hostAddress}:${hostPort}->${containerPort}`;
  }
  if (typeof value === 'number' && !Number.isInteger(value)) return value.toFixed(1);
  return printable(String(value));
}

/** Columns are the keys in the order they first appear; nested values that have no short form are left out. */
export function formatRows(rows: readonly Record<string, unknown>[]): string[] {
  const isShort = (value: unknown) =>
    typeof value !== 'object' || (Array.isArray(value) && !cellOf(value).startsWith('{'));
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row).filter((key) => isShort(row[key]))))];
  const cells = [
    keys.map((key) => key.toUpperCase()),
    ...rows.map((row) => keys.map((key) => cellOf(row[key]))),
  ];
  const widths = keys.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  return cells.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

export function printRows(rows: readonly Record<string, unknown>[]): void {
  const [head, ...rest] = formatRows(rows);
  if (head === undefined || rows.length === 0) return;
  console.log([styleText('bold', head, { stream: process.stdout }), ...rest].join('\n'));
}
