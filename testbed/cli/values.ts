/** Values of the testbed's flags, read and refused. */
import { InvalidArgumentError } from 'commander';

export function positiveInteger(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('expected a positive whole number');
  return Number(value);
}

/** Guests are named by the letters of the alphabet. */
export function upToTwentySix(value: string): number {
  const count = positiveInteger(value);
  if (count > 26) throw new InvalidArgumentError('expected 1 to 26');
  return count;
}

export function accelerator(value: string): 'kvm' | 'tcg' {
  if (value !== 'kvm' && value !== 'tcg') throw new InvalidArgumentError('expected kvm or tcg');
  return value;
}
