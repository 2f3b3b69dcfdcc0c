/** What the agent is asked for, to bring a container back. */
import type { RestoreRequest } from '../../interconnect/agent-api.ts';
import type { AttachedDisks } from '../containers/container-disks.ts';
import { AGENT_SHARE } from '../guests/guest.ts';
import type { Restore } from './restore.ts';

const MACHINE_ID_BYTES = 16;

export function agentRequestOf(
  { container, session, plan, hold, clonedFrom }: Restore,
  disks: AttachedDisks,
  { timeoutMs, randomBytes }: { timeoutMs: number; randomBytes: (byteCount: number) => Buffer },
): RestoreRequest {
  return {
    spec: { ...container.recipe.spec, id: container.id, ...disks },
    token: session.token,
    lazyPages: plan.effectivePolicy !== 'eager',
    hold,
    ...(clonedFrom ? { machineId: randomBytes(MACHINE_ID_BYTES).toString('hex') } : {}),
    deadlineMs: Math.round(timeoutMs * AGENT_SHARE),
  };
}
