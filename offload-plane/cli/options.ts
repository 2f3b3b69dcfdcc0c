/** Values of flags, read and refused. */
import { InvalidArgumentError } from 'commander';
import type { PortRequest, VolumeMount } from '../containers/container.ts';

/** `[hostPort:]containerPort[/tcp]`, as Docker has it; repeatable. */
export function parsePort(value: string, before: PortRequest[] = []): PortRequest[] {
  if (/\/(udp|sctp)$/i.test(value)) {
    throw new InvalidArgumentError('only TCP ports are published: what reaches a guest is a stream');
  }
  if (/^.*:\d*:\d+/.test(value)) {
    throw new InvalidArgumentError("where ports listen is the plane's --publish-address, one for all");
  }
  const match = /^(?:(\d{1,5}):)?(\d{1,5})(?:\/tcp)?$/.exec(value);
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

const MULTIPLES: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** `512m`, `10G`, `10GiB`, or plain bytes. */
export function parseBytes(value: string): number {
  const match = /^(\d{1,15})([kmgt]?)(i?b)?$/.exec(value.toLowerCase());
  const bytes = Number(match?.[1]) * (MULTIPLES[match?.[2] ?? ''] ?? 1);
  if (!match || bytes < 1 || !Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError('expected a number of bytes, with k, m, g or t behind it for more');
  }
  return bytes;
}

/** `name:/path[:ro]`; repeatable. */
export function parseVolume(value: string, before: VolumeMount[] = []): VolumeMount[] {
  const match = /^([a-z0-9][a-z0-9_.-]{0,62}):(\/[^:]*)(?::(ro|rw))?$/.exec(value);
  if (!match) {
    throw new InvalidArgumentError(
      "expected volume:/path or volume:/path:ro; a path of the plane's is no volume",
    );
  }
  const [, name = '', destination = '', mode] = match;
  return [...before, { name, destination, readOnly: mode === 'ro' }];
}

/** For flags that may be given more than once. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];
