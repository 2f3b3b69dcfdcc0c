/** Flags that say when a container is ready and what warms it up, for checkpoints and templates. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Preparation, ReadyProbe, WarmUpStep } from '../probes/probe.ts';

export interface PreparationFlags {
  afterReady?: ReadyProbe;
  readyTimeoutS?: number;
  warmUp?: WarmUpStep[];
  warmUpExec?: WarmUpStep[];
}

const PROBE_FORM = 'expected tcp:PORT, http:PORT/PATH or exec:COMMAND';
const WARM_UP_FORM = "expected '[METHOD] PORT/PATH [xN]', for example 'GET 8080/items x100'";

function toPort(text: string, form: string): number {
  const port = Number(text);
  if (port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError(form);
}

/** A shell runs it, so that it may be written as it is typed. */
const shell = (text: string) => ({ command: ['/bin/sh', '-c', text] });

export function parseProbe(value: string): ReadyProbe {
  const exec = /^exec:(.+)$/s.exec(value)?.[1];
  if (exec !== undefined) return { exec: shell(exec) };
  const [, kind, port = '', path = ''] = /^(tcp|http):(\d{1,5})(\/[\x21-\x7e]*)?$/.exec(value) ?? [];
  if (kind === 'tcp' && path === '') return { tcp: { port: toPort(port, PROBE_FORM) } };
  if (kind === 'http') return { http: { port: toPort(port, PROBE_FORM), path: path || '/' } };
  throw new InvalidArgumentError(PROBE_FORM);
}

export function parseWarmUp(value: string, before: WarmUpStep[] = []): WarmUpStep[] {
  const form = /^(?:(GET|HEAD|POST) )?(\d{1,5})(\/[\x21-\x7e]*)(?: x(\d{1,6}))?$/;
  const [, method, port, path, count = '1'] = form.exec(value) ?? [];
  if (port === undefined || path === undefined) throw new InvalidArgumentError(WARM_UP_FORM);
  const http = { port: toPort(port, WARM_UP_FORM), path, ...(method ? { method: method as 'GET' } : {}) };
  return [...before, { http, count: toCount(count) }];
}

export function parseWarmUpExec(value: string, before: WarmUpStep[] = []): WarmUpStep[] {
  const [, command = '', count = '1'] = /^(.+?)(?: x(\d{1,6}))?$/s.exec(value) ?? [];
  if (command.trim() === '') throw new InvalidArgumentError("expected 'COMMAND [xN]'");
  return [...before, { exec: shell(command), count: toCount(count) }];
}

function toCount(text: string): number {
  const count = Number(text);
  if (count >= 1 && count <= 100_000) return count;
  throw new InvalidArgumentError('expected a count from 1 to 100000');
}

function parseSeconds(value: string): number {
  if (!/^\d{1,4}$/.test(value) || value === '0')
    throw new InvalidArgumentError('expected a number of seconds');
  return Number(value);
}

export function addPreparationOptions(command: Command): Command {
  return command
    .option(
      '--after-ready <probe>',
      'wait for tcp:PORT, http:PORT/PATH or exec:COMMAND to succeed',
      parseProbe,
    )
    .option('--ready-timeout-s <seconds>', 'give up when it is not ready by then', parseSeconds)
    .option('--warm-up <request>', "'[METHOD] PORT/PATH [xN]', repeatable", parseWarmUp)
    .option('--warm-up-exec <command>', "'COMMAND [xN]' in the container, repeatable", parseWarmUpExec);
}

/** Requests come before programs. */
export function preparationOf(flags: PreparationFlags): Preparation {
  const { afterReady, readyTimeoutS, warmUp = [], warmUpExec = [] } = flags;
  const steps = [...warmUp, ...warmUpExec];
  return {
    ...(afterReady === undefined ? {} : { ready: afterReady }),
    ...(readyTimeoutS === undefined ? {} : { readyTimeoutMs: readyTimeoutS * 1_000 }),
    ...(steps.length === 0 ? {} : { warmUp: steps }),
  };
}
