/** Values of flags, read and refused. */
import { InvalidArgumentError } from 'commander';
import type { PortRequest } from '../containers/container.ts';

/** `[hostPort:]containerPort`, as Docker has it; repeatable. */
export function parsePort(value: string, before: PortRequest[] = []): PortRequest[] {
  const match = /^(?:(\d{1,5}):)?(\d{1,5})$/.exec(value);
  const [host, container] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  if (!match || container < 1 || container > 65_535 || host > 65_535) {
    throw new InvalidArgumentError('expected [hostPort:]containerPort, each up to 65535');
  }
  return [...before, { containerPort: container, hostPort: host }];
}

export function parseCount(value: string): number {
  if (!/^\d{1,4}$/.test(value)) throw new InvalidArgumentError('expected a whole number');
  return Number(value);
}

/** For flags that may be given more than once. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];
