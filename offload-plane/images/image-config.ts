/** From an image's own configuration to what the plane keeps of it. */
import { isSignal, signalName } from '../../interconnect/signals.ts';
import type { ImageHealthcheck, ImageRunConfig } from './image-record.ts';
import type { ImageConfig } from './oci-schema.ts';

const NANOSECONDS_PER_MS = 1_000_000;
const SHELL = ['/bin/sh', '-c'];

/** @param user `uid:gid`, looked up */
export function runConfig(image: ImageConfig, user: string): ImageRunConfig {
  const config = image.config ?? {};
  const entrypoint = config.Entrypoint ?? [];
  const stopSignal = stopSignalOf(config.StopSignal ?? '');
  const healthcheck = healthcheckOf(config.Healthcheck ?? {});
  return {
    command: [...entrypoint, ...(config.Cmd ?? [])],
    env: config.Env ?? [],
    workingDir: config.WorkingDir?.startsWith('/') ? config.WorkingDir : `/${config.WorkingDir ?? ''}`,
    user,
    exposedPorts: tcpPorts(Object.keys(config.ExposedPorts ?? {})),
    ...(entrypoint.length > 0 ? { entrypoint } : {}),
    ...(config.Labels ? { labels: config.Labels } : {}),
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(healthcheck === undefined ? {} : { healthcheck }),
  };
}

function tcpPorts(keys: readonly string[]): number[] {
  const ports = keys
    .filter((key) => !key.includes('/') || key.endsWith('/tcp'))
    .map((key) => Number.parseInt(key, 10))
    .filter((port) => port >= 1 && port <= 65_535);
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** Images say `SIGQUIT`, `QUIT` or `3`. What Linux does not know is left out, as Docker does: nothing could be stopped by it. */
function stopSignalOf(text: string): string | undefined {
  if (/^\d{1,2}$/.test(text)) return signalName(Number(text));
  const name = text.toUpperCase().replace(/^(?!SIG)/, 'SIG');
  return /^SIG[A-Z][A-Z0-9+-]{1,11}$/.test(name) && isSignal(name) ? name : undefined;
}

/** Docker's: `["CMD", …]` or `["CMD-SHELL", script]`; `["NONE"]` and none at all are the same here. */
function healthcheckOf(check: HealthcheckConfig): ImageHealthcheck | undefined {
  const [kind, ...words] = check.Test ?? [];
  const command = kind === 'CMD' ? words : kind === 'CMD-SHELL' ? [...SHELL, ...words.slice(0, 1)] : [];
  if (words.length === 0 || command.length === 0) return undefined;
  return {
    command,
    ...milliseconds('intervalMs', check.Interval),
    ...milliseconds('timeoutMs', check.Timeout),
    ...milliseconds('startPeriodMs', check.StartPeriod),
    ...(check.Retries ? { retries: check.Retries } : {}),
  };
}

type HealthcheckConfig = NonNullable<NonNullable<ImageConfig['config']>['Healthcheck']>;

/** 0 and absent mean the default. */
function milliseconds<K extends string>(key: K, nanoseconds: number | undefined): { [P in K]?: number } {
  if (!nanoseconds) return {};
  return { [key]: Math.max(1, Math.round(nanoseconds / NANOSECONDS_PER_MS)) } as { [P in K]?: number };
}
