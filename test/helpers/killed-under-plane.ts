/** An agent that is killed while the plane has it do something that takes a while: what came of it. */
import * as assert from 'uvu/assert';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError, toOffloadError } from '../../platform/errors.ts';
import { assertNothingLeft, assertUnharmed, KILL, type KilledAgent, shell } from './killed-agent.ts';

/** Conditions in the guest, for a shell. */
export const isFrozen = (id: string) =>
  `{ read -r frozen </sys/fs/cgroup/offload/${id}/cgroup.freeze && [ $frozen = 1 ]; }`;
export const isDumped = (id: string) => `[ -e /run/offload/containers/${id}/dump/dump.log ]`;

/** Holds 24 MiB that CRIU restores lazily, and says so. */
const HEAP = `exec awk 'BEGIN { s = sprintf("%25165824s", "x"); print "full"; fflush(); for (;;) system("sleep 1") }'`;

/** Leaves a checkpoint of a container that is gone. */
export async function checkpointHeap({ testbed }: KilledAgent, id: string): Promise<void> {
  const { plane, deadlineScale } = testbed;
  await plane.containers.create({ name: id, guest: 'origin', image: 'busybox', command: ['-c', HEAP] });
  await plane.containers.start(id);
  await pollUntil(async () => /full/.test(await plane.containers.logs(id)) || undefined, {
    timeoutMs: 60_000 * deadlineScale,
    intervalMs: 100,
    what: `${id} to fill its memory`,
  });
  await plane.checkpoints.create({ container: id, id, after: 'stop' });
  await plane.containers.remove(id, { force: true });
}

const CALL_IS_OVER = '/run/call-is-over';

/**
 * Ends the agent `ms` after `condition` has held for the first time, as a look in the guest itself finds it; or when
 * the call under way is over, and the moment was too short to be seen.
 */
export async function killWhen(
  watched: KilledAgent,
  call: Promise<unknown>,
  condition: string,
  ms: number,
): Promise<void> {
  const limitS = 45 * watched.testbed.deadlineScale;
  const wait = `until ${condition} || [ -e ${CALL_IS_OVER} ]; do [ $SECONDS -lt ${limitS} ] || exit 9; sleep 0.002; done`;
  await Promise.all([
    shell(watched, `${wait}; sleep ${(ms / 1000).toFixed(3)}; ${KILL}`),
    call.then(() => shell(watched, `touch ${CALL_IS_OVER}`)),
  ]);
  await shell(watched, `rm ${CALL_IS_OVER}`);
}

/** What a call came to: an answer, or a refusal of ours that names what failed. */
export async function outcomeOf<T>(call: Promise<T>): Promise<T | OffloadError> {
  return call.catch((error: unknown) => {
    assert.instance(error, OffloadError, String(error));
    return toOffloadError(error, 'call');
  });
}

/** The container runs, unfrozen; nothing of a dump is left in guest or store; the next checkpoint is whole. */
export async function assertCheckpointable(watched: KilledAgent, next: string): Promise<void> {
  const { plane } = watched.testbed;
  await assertUnharmed(watched);
  const dumps = await shell(
    watched,
    'ls -d /run/offload/containers/*/dump /var/lib/offload/containers/*/rootfs-diff.tar 2>/dev/null || true',
  );
  assert.is(dumps, '');
  await plane.checkpoints.create({ container: 'steady', id: next, after: 'resume' });
  await plane.checkpoints.remove(next);
  await assertUnharmed(watched);
}

/** Either it goes on to its last page, verified, or the plane has no such container and the guest nothing of it. */
export async function assertWholeOrGone(watched: KilledAgent, name: string, restoreId: string | undefined) {
  const { plane, deadlineScale } = watched.testbed;
  if (restoreId !== undefined) {
    const view = await pollUntil(
      async () => {
        const now = await plane.restores.inspect(restoreId);
        return now.phase === 'complete' || now.phase === 'failed' ? now : undefined;
      },
      { timeoutMs: 60_000 * deadlineScale, intervalMs: 50, what: `end of restore ${restoreId}` },
    );
    assert.is(view.phase, 'complete', view.error?.message);
    assert.is(view.pagesVerified, true);
    assert.is((await plane.containers.inspect(name)).phase, 'running');
    await plane.containers.remove(name, { force: true });
  }
  assert.equal(
    (await plane.containers.list()).map((container) => container.name),
    ['steady'],
  );
  await assertNothingLeft(watched);
}
