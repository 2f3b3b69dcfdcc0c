/** Waits for a container of the plane and warms it up, through its guest's agent or its published ports. */
import type { Following } from '../checkpoints/cancellation.ts';
import type { Container } from '../containers/container.ts';
import type { Guest } from '../guests/guest.ts';
import { containerAccess, throughPublishedPorts } from './container-access.ts';
import type { Preparation } from './probe.ts';
import { prepare } from './prober.ts';

/** Unscaled; multiplied by the guest's deadlineScale. */
const REQUEST_TIMEOUT_MS = 10_000;
const DEFAULT_READY_TIMEOUT_MS = 60_000;

export async function prepareContainer(
  { container, guest, published = false }: { container: Container; guest: Guest; published?: boolean },
  preparation: { [K in keyof Preparation]?: Preparation[K] | undefined },
  { signal, progress }: Following,
): Promise<void> {
  const { ready, warmUp, readyTimeoutMs = DEFAULT_READY_TIMEOUT_MS } = preparation;
  const scaled = (ms: number) => Math.round(ms * guest.deadlineScale);
  const access = containerAccess(container, guest, scaled(REQUEST_TIMEOUT_MS));
  await prepare(
    published ? throughPublishedPorts(access, container) : access,
    { ...(ready ? { ready } : {}), ...(warmUp ? { warmUp } : {}) },
    {
      timeoutMs: scaled(REQUEST_TIMEOUT_MS),
      readyTimeoutMs: scaled(readyTimeoutMs),
      nowMs: () => performance.now(),
      signal,
      ...(progress ? { progress } : {}),
    },
  );
}
