/** Asks containers whether they are ready, and warms them up. */
import { setTimeout as delay } from 'node:timers/promises';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { expectGoingOn } from '../checkpoints/cancellation.ts';
import type { ContainerAccess } from './container-access.ts';
import { requestOver } from './http-request.ts';
import type { Preparation, ReadyProbe, WarmUpStep } from './probe.ts';

export interface ProbeOptions {
  /** Of one request. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  nowMs: () => number;
}

export interface PrepareOptions extends ProbeOptions {
  /** For the container to become ready. */
  readyTimeoutMs: number;
  progress?: (text: string, fraction?: number) => void;
}

const INTERVAL_MS = 100;

/** @throws {Error} why it is not ready */
export async function probeOnce(
  access: ContainerAccess,
  probe: ReadyProbe,
  { timeoutMs }: ProbeOptions,
): Promise<void> {
  if ('exec' in probe) return await expectSuccess(access, probe.exec.command);
  if ('tcp' in probe) {
    (await withDeadline(access.dial(probe.tcp.port), timeoutMs, 'connect')).destroy();
    return;
  }
  const { port, path, status: wanted } = probe.http;
  const status = await requestOver(await access.dial(port), { method: 'GET', path }, timeoutMs);
  const isWanted = wanted === undefined ? status >= 200 && status < 400 : status === wanted;
  if (!isWanted) throw new Error(`GET ${path} answered ${status}`);
}

/** @throws {OffloadError} deadline_exceeded, with what the last probe said; cancelled */
export async function untilReady(
  access: ContainerAccess,
  probe: ReadyProbe,
  options: PrepareOptions,
): Promise<void> {
  const endMs = options.nowMs() + options.readyTimeoutMs;
  for (;;) {
    expectGoingOn(options.signal, `warm up container ${access.name}`);
    try {
      return await probeOnce(access, probe, options);
    } catch (error) {
      const { message } = error as Error;
      if (options.nowMs() >= endMs || !isPassing(error)) {
        throw new OffloadError(
          isPassing(error) ? 'deadline_exceeded' : (error as OffloadError).code,
          `container ${access.name} is not ready after ${options.readyTimeoutMs} ms: ${message}`,
          { cause: error },
        );
      }
    }
    await delay(INTERVAL_MS);
  }
}

/** A container that has ended, or whose guest is gone, will never be ready. */
function isPassing(error: unknown): boolean {
  return !(error instanceof OffloadError && ['invalid_state', 'not_found'].includes(error.code));
}

/** @throws {OffloadError} runtime_failed, naming the request that failed; cancelled */
async function warmUp(access: ContainerAccess, steps: readonly WarmUpStep[], options: PrepareOptions) {
  const total = steps.reduce((sum, step) => sum + step.count, 0);
  let done = 0;
  for (const step of steps) {
    for (let turn = 1; turn <= step.count; turn += 1) {
      expectGoingOn(options.signal, `warm up container ${access.name}`);
      await warmUpOnce(access, step, options).catch((error: Error) => {
        throw new OffloadError(
          'runtime_failed',
          `warm up container ${access.name}: ${nameOf(step)}, ${turn} of ${step.count}: ${error.message}`,
          { cause: error },
        );
      });
      done += 1;
      options.progress?.(`warm-up request ${done} of ${total}`, done / total);
    }
  }
}

async function warmUpOnce(access: ContainerAccess, step: WarmUpStep, { timeoutMs }: ProbeOptions) {
  if ('exec' in step) return await expectSuccess(access, step.exec.command);
  const { port, path, method = 'GET', body } = step.http;
  const status = await requestOver(await access.dial(port), { method, path, body }, timeoutMs);
  if (status >= 400) throw new Error(`it answered ${status}`);
}

const nameOf = (step: WarmUpStep): string =>
  'exec' in step ? step.exec.command[0]! : `${step.http.method ?? 'GET'} ${step.http.path}`;

/** Waits until the container is ready, where a probe says so, then warms it up. */
export async function prepare(
  access: ContainerAccess,
  { ready, warmUp: steps = [] }: Preparation,
  options: PrepareOptions,
): Promise<void> {
  if (ready !== undefined) {
    options.progress?.('waiting until it is ready');
    await untilReady(access, ready, options);
  }
  await warmUp(access, steps, options);
}

async function expectSuccess(access: ContainerAccess, command: readonly string[]): Promise<void> {
  const exitCode = await access.run(command);
  if (exitCode !== 0) throw new Error(`${command[0]} ended with exit code ${exitCode}`);
}
