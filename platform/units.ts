/**
 * Units used across the project. A name's last word says its unit; these are the factors between them.
 */
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

export const MS_PER_S = 1000;
export const US_PER_MS = 1000;

/** A byte count as a person reads it, for messages and tables; never parsed back. */
export function formatBytes(bytes: number): string {
  if (bytes >= GIB) return `${(bytes / GIB).toFixed(1)} GiB`;
  if (bytes >= MIB) return `${(bytes / MIB).toFixed(1)} MiB`;
  if (bytes >= KIB) return `${(bytes / KIB).toFixed(1)} KiB`;
  return `${bytes} bytes`;
}

/** Megabytes (10^6 bytes) a second, the unit of every throughput we report. */
export function megabytesPerSecond(bytes: number, durationMs: number): number {
  return durationMs > 0 ? bytes / 1000 / durationMs : 0;
}
