/** The flags of health checks and readiness probes. */
import { type Command, InvalidArgumentError } from 'commander';
import type { ContainerBody } from '../http-api/schemas/containers.ts';
import { parseCount } from './options.ts';

type Probe = NonNullable<ContainerBody['healthCheck']>;
type Target = { tcp: { port: number } } | { http: { port: number; path: string } };

export interface HealthFlags {
  healthCmd?: string;
  healthTcp?: Target;
  healthHttp?: Target;
  healthInterval?: number;
  healthTimeout?: number;
  healthRetries?: number;
  healthStartPeriod?: number;
  readyCmd?: string;
  readyTcp?: Target;
  readyHttp?: Target;
}

export function addHealthOptions(command: Command): Command {
  return command
    .option('--health-cmd <command>', 'healthy when this ends with 0 in the container; run by its shell')
    .option('--health-tcp <port>', 'healthy when this port takes a connection', parseTcp)
    .option('--health-http <port/path>', 'healthy when this answers with 200 to 399', parseHttp)
    .option('--health-interval <duration>', 'between two checks, such as 30s', parseDuration)
    .option('--health-timeout <duration>', 'of one check', parseDuration)
    .option('--health-retries <count>', 'failures in a row that count', parseCount)
    .option('--health-start-period <duration>', 'failures before it do not count', parseDuration)
    .option('--ready-cmd <command>', 'ready when this ends with 0 in the container')
    .option('--ready-tcp <port>', 'ready when this port takes a connection', parseTcp)
    .option('--ready-http <port/path>', 'ready when this answers with 200 to 399', parseHttp);
}

/** @throws {InvalidArgumentError} when there are two checks of a kind */
export function probesOf(flags: HealthFlags): Pick<ContainerBody, 'healthCheck' | 'readinessProbe'> {
  const { healthInterval, healthTimeout, healthRetries, healthStartPeriod } = flags;
  const timing = Object.fromEntries(
    Object.entries({
      intervalMs: healthInterval,
      timeoutMs: healthTimeout,
      retries: healthRetries,
      startPeriodMs: healthStartPeriod,
    }).filter(([, value]) => value !== undefined),
  );
  const health = targetOf('health', flags.healthCmd, flags.healthTcp, flags.healthHttp);
  const ready = targetOf('ready', flags.readyCmd, flags.readyTcp, flags.readyHttp);
  if (!health && Object.keys(timing).length > 0) {
    throw new InvalidArgumentError('--health-interval and its like need a --health-cmd, -tcp or -http');
  }
  return {
    ...(health ? { healthCheck: { ...health, ...timing } as Probe } : {}),
    ...(ready ? { readinessProbe: ready as Probe } : {}),
  };
}

function targetOf(kind: string, command?: string, ...targets: (Target | undefined)[]) {
  const exec = command === undefined ? undefined : { exec: { command: ['/bin/sh', '-c', command] } };
  const given = [exec, ...targets].filter((target) => target !== undefined);
  if (given.length > 1) throw new InvalidArgumentError(`--${kind}-cmd, -tcp and -http: one of them`);
  return given[0];
}

function parsePortNumber(value: string): number {
  const port = Number(value);
  if (!/^\d{1,5}$/.test(value) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('expected a port');
  return port;
}

const parseTcp = (value: string): Target => ({ tcp: { port: parsePortNumber(value) } });

/** `8080/health`, `8080`, `:8080/health`. */
function parseHttp(value: string): Target {
  const [, port = '', path = '/'] = /^:?(\d{1,5})(\/[\x21-\x7e]*)?$/.exec(value) ?? [];
  if (port === '') throw new InvalidArgumentError('expected port/path, such as 8080/health');
  return { http: { port: parsePortNumber(port), path } };
}

const FACTORS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `500ms`, `30s`, `1m30s`; a number alone is seconds. @returns milliseconds */
function parseDuration(value: string): number {
  if (/^\d{1,6}$/.test(value)) return Number(value) * 1_000;
  if (!/^(\d{1,6}(ms|s|m|h))+$/.test(value))
    throw new InvalidArgumentError('expected a duration such as 1m30s');
  const parts = value.matchAll(/(\d+)(ms|s|m|h)/g);
  return [...parts].reduce((sum, [, count, unit]) => sum + Number(count) * (FACTORS[unit ?? ''] ?? 0), 0);
}
