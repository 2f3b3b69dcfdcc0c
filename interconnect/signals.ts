/** Signals by the names that kill(1) and Docker take: SIGTERM, TERM, 15, SIGRTMIN+3. */
import { constants } from 'node:os';
import { OffloadError } from '../platform/errors.ts';

/** Of the C library, which keeps the first two of the kernel's for itself (signal(7)). */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/**
 * @param operation for the message, such as `kill container web`
 * @returns the number
 * @throws {OffloadError} invalid_request for one that Linux does not have
 */
export function signalNumber(signal: string, operation: string): number {
  const number = numberOf(signal);
  if (number !== undefined) return number;
  throw new OffloadError('invalid_request', `${operation}: there is no signal ${signal}`);
}

export const isSignal = (signal: string): boolean => numberOf(signal) !== undefined;

/** The name of a number: SIGKILL of 9, SIGRTMIN+3 of 37. */
export function signalName(number: number): string | undefined {
  const known = Object.entries(constants.signals).find(([, other]) => other === number)?.[0];
  const isRealTime = number >= SIGRTMIN && number <= SIGRTMAX;
  return known ?? (isRealTime ? `SIGRTMIN+${number - SIGRTMIN}` : undefined);
}

function numberOf(signal: string): number | undefined {
  const name = signal.replace(/^SIG/, '');
  const known = (constants.signals as Record<string, number | undefined>)[`SIG${name}`];
  const number = known ?? realTime(name) ?? (/^\d+$/.test(name) ? Number(name) : 0);
  return number >= 1 && number <= SIGRTMAX ? number : undefined;
}

function realTime(name: string): number | undefined {
  const [, base, offset = '0'] = /^(RTMIN|RTMAX)([+-]\d+)?$/.exec(name) ?? [];
  if (base === undefined) return undefined;
  const number = (base === 'RTMIN' ? SIGRTMIN : SIGRTMAX) + Number(offset);
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}
