/** The aims, from what was measured. Nothing else is judged. */

import type { Statistics } from '../statistics.ts';
import type { Aim, CallVariant, ProcessMemory, Side, StartVariant } from './report.ts';

const MEMORY_AT_MOST = 0.2;
const CALL_AT_MOST = 3;
const START_AT_MOST = 0.3;

export interface Measured {
  memory: readonly ProcessMemory[];
  startMs: Record<StartVariant, Statistics>;
  callMs: Record<CallVariant, Statistics>;
}

export type MemoryFigure = 'residentBytes' | 'proportionalBytes' | 'anonymousBytes';

export function sumOf(memory: readonly ProcessMemory[], side: Side, figure: MemoryFigure): number {
  return memory.filter((process) => process.side === side).reduce((sum, process) => sum + process[figure], 0);
}

export function aimsOf({ memory, startMs, callMs }: Measured): Aim[] {
  const crunMs = startMs.crun.p50;
  return [
    memoryAim('resident memory ÷ containerd’s with its shim', memory, 'residentBytes'),
    memoryAim('anonymous memory ÷ containerd’s with its shim', memory, 'anonymousBytes'),
    {
      name: 'call round trip ÷ bare echo',
      value: callMs.inspect.p50 / callMs.echo.p50,
      atMost: CALL_AT_MOST,
      of: `${ms(callMs.inspect.p50)} ÷ ${ms(callMs.echo.p50)}`,
    },
    startAim('start by the plane, over crun alone ÷ crun', startMs.plane.p50 - crunMs, crunMs),
    startAim(
      'start by the plane, over the same made by hand ÷ crun',
      startMs.plane.p50 - startMs['by hand'].p50,
      crunMs,
    ),
  ];
}

function memoryAim(name: string, memory: readonly ProcessMemory[], figure: MemoryFigure): Aim {
  const [ours, theirs] = [sumOf(memory, 'ours', figure), sumOf(memory, 'containerd', figure)];
  return { name, value: ours / theirs, atMost: MEMORY_AT_MOST, of: `${mib(ours)} ÷ ${mib(theirs)} MiB` };
}

function startAim(name: string, overheadMs: number, crunMs: number): Aim {
  return { name, value: overheadMs / crunMs, atMost: START_AT_MOST, of: `${ms(overheadMs)} ÷ ${ms(crunMs)}` };
}

export const isMet = ({ value, atMost }: Aim) => value <= atMost;
export const mib = (bytes: number) => (bytes / (1024 * 1024)).toFixed(1);
export const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
