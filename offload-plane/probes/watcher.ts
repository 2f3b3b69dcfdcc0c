/**
 * Probes running containers: their health check tells whether they still work, their readiness probe whether
 * they take requests. One probe of a kind at a time, from its container's start to its end. What they said is
 * in memory only: the next plane knows nothing of it, and probes at once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { OffloadError } from '../../platform/errors.ts';
import type { Container, PlanePhase } from '../containers/container.ts';
import type { Probe } from '../containers/policies.ts';
import type { Guest } from '../guests/guest.ts';
import { type ContainerAccess, containerAccess } from './container-access.ts';
import { afterProbe, type HealthState, STARTING } from './health.ts';
import { probeOnce } from './prober.ts';

export interface WatcherDeps {
  guestOf: (container: Container) => Guest | undefined;
  note: (container: Container, event: string, reason?: string) => void;
  nowMs: () => number;
  wallMs: () => number;
}

/** Why it failed, if it did; `unknown` where the guest could not be asked, which says nothing of the container. */
type Finding = { failure?: string } | 'unknown';

const DEFAULTS = { intervalMs: 30_000, timeoutMs: 5_000, retries: 3, startPeriodMs: 0 };

export function createProbeWatcher({ guestOf, note, nowMs, wallMs }: WatcherDeps) {
  const watched = new Map<string, AbortController>();

  function accessTo(container: Container, timeoutMs: number): ContainerAccess | undefined {
    const guest = guestOf(container);
    return guest && containerAccess(container, guest, timeoutMs * guest.deadlineScale);
  }

  async function ask(container: Container, probe: Probe): Promise<Finding> {
    const timeoutMs = probe.timeoutMs ?? DEFAULTS.timeoutMs;
    const access = accessTo(container, timeoutMs);
    if (!access) return 'unknown';
    try {
      const scaledMs = timeoutMs * (guestOf(container)?.deadlineScale ?? 1);
      await probeOnce(access, probe, { timeoutMs: scaledMs, nowMs });
      return {};
    } catch (error) {
      if (error instanceof OffloadError && error.code === 'guest_lost') return 'unknown';
      return { failure: (error as Error).message };
    }
  }

  /** Until the signal: a probe, and what it says, every interval. A paused container is not asked. */
  async function repeat(
    container: Container,
    probe: Probe,
    signal: AbortSignal,
    take: (failure: string | undefined) => void,
  ): Promise<void> {
    const intervalMs = probe.intervalMs ?? DEFAULTS.intervalMs;
    while (!signal.aborted) {
      if (canBeAsked(container)) {
        const finding = await ask(container, probe);
        if (signal.aborted) return;
        if (finding !== 'unknown' && canBeAsked(container)) take(finding.failure);
      }
      await delay(intervalMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  const canBeAsked = (container: Container): boolean =>
    container.phase === 'running' && guestOf(container)?.phase === 'ready';

  function watchHealth(container: Container, probe: Probe, signal: AbortSignal): void {
    const rules = { ...DEFAULTS, ...probe };
    const sinceStartMs = () => wallMs() - (container.startedAtMs ?? 0);
    let state: HealthState = STARTING;
    container.health = state.health;
    void repeat(container, probe, signal, (failure) => {
      const before = state.health;
      state = afterProbe(state, failure === undefined, sinceStartMs(), rules);
      container.health = state.health;
      if (state.health !== before) note(container, state.health, failure);
    });
  }

  function watchReadiness(container: Container, probe: Probe, signal: AbortSignal): void {
    const retries = probe.retries ?? 1;
    let failures = 0;
    container.ready = false;
    void repeat(container, probe, signal, (failure) => {
      failures = failure === undefined ? 0 : failures + 1;
      const ready = failure === undefined || (container.ready === true && failures < retries);
      if (ready === container.ready) return;
      container.ready = ready;
      note(container, ready ? 'ready' : 'unready', failure);
    });
  }

  function forget(container: Container): void {
    watched.get(container.id)?.abort();
    watched.delete(container.id);
    container.health = undefined;
    container.ready = undefined;
  }

  return {
    /** It runs, and is watched until it ends, is lost or removed; nothing happens to one that is watched already. */
    start(container: Container): void {
      const { healthCheck, readinessProbe } = container.policies;
      if (watched.has(container.id) || (!healthCheck && !readinessProbe)) return;
      const stopped = new AbortController();
      const onPhase = (phase: PlanePhase) => {
        if (phase !== 'stopped' && phase !== 'lost') return;
        container.onPhase.delete(onPhase);
        forget(container);
      };
      watched.set(container.id, stopped);
      container.onPhase.add(onPhase);
      if (healthCheck) watchHealth(container, healthCheck, stopped.signal);
      if (readinessProbe) watchReadiness(container, readinessProbe, stopped.signal);
    },
    close(): void {
      for (const stopped of watched.values()) stopped.abort();
      watched.clear();
    },
  };
}
