export const RECORD_BYTES: number;
export function recordCount(heapMiB: number): number;
export function createRecordMaker(): (index: number) => string;
export function walk(total: number, from: number, count: number): Generator<number>;
