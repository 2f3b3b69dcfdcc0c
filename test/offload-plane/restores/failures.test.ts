import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RestoreRequest as AgentRequest } from '../../../interconnect/agent-api.ts';
import { FrameType } from '../../../interconnect/page-protocol.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { FIRST_ID, RECIPE } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { until } from '../../helpers/until.ts';
import { FakePager } from '../page-server/fake-pager.ts';
import { writeCheckpoint } from '../page-store/fixture.ts';
import { REQUEST, type World, withRestores } from './world.ts';

const IMPATIENT = { lastWordMs: 300 };
const EXITED = { sequence: 1, atMs: 0, container: FIRST_ID, event: 'exited', exitCode: 0 } as const;

test('a restore is cancelled while its images are sent and while the agent is at it, and leaves nothing', async () => {
  for (const stage of ['images', 'agent'] as const) {
    await withRestores(async ({ restores, guest, assertNothingLeft }) => {
      const cancelling = new AbortController();
      const cutOff = Promise.withResolvers<never>();
      if (stage === 'images') guest.onUpload(() => cancelling.abort());
      guest.on('restoreContainer', () => {
        cancelling.abort();
        return cutOff.promise;
      });
      guest.on('deleteContainer', () => cutOff.reject(new OffloadError('runtime_failed', 'cut off')));
      cutOff.promise.catch(() => undefined);
      const error = await rejection(restores.create(REQUEST, { signal: cancelling.signal }));
      assert.is(error.code, 'cancelled', error.message);
      assert.is(restores.list().at(-1)?.phase, 'failed');
      assert.is(guest.calls.includes(`restoreContainer ${FIRST_ID}`), stage === 'agent');
      assert.ok(guest.calls.includes(`deleteContainer ${FIRST_ID}`));
      await assertNothingLeft();
    });
  }
});

test('an unknown checkpoint, guest or restore is not found, and no container is left', async () => {
  await withRestores(async ({ create, restores, guest, assertNothingLeft }) => {
    assert.is((await rejection(create({ checkpoint: 'none' }))).code, 'not_found');
    const error = await rejection(create({ guest: 'none' }));
    assert.is(error.message, 'guest none: there is none of this name');
    assert.throws(() => restores.get('none'), /^restore none: there is none of this id$/);
    assert.is((await rejection(restores.compareMemory('none'))).code, 'not_found');
    assert.equal(restores.list(), []);
    assert.equal(guest.calls, []);
    await assertNothingLeft();
  });
});

test('a lost guest, a taken name and a taken address are refused before anything is sent', async () => {
  await withRestores(async ({ create, containers, guest, restores, store }) => {
    await containers.admit({ name: 'web', guest, recipe: RECIPE, ports: [], phase: 'created' });
    assert.is((await rejection(create())).code, 'already_exists');
    const error = await rejection(create({ name: 'other', clone: false }));
    assert.is(error.code, 'invalid_state');
    assert.match(error.message, /has its address 10\.88\.0\.2\/16$/);
    guest.lost = true;
    assert.is(
      (await rejection(create({ name: 'other' }))).message,
      'restore checkpoint warm: guest guest-a is gone',
    );
    assert.equal(guest.calls, []);
    assert.equal(restores.list(), []);
    await store.remove('warm');
  });
});

test('a checkpoint that names no container cannot be restored', async () => {
  await withRestores(async ({ create, store }) => {
    await writeCheckpoint(store, 'foreign');
    assert.is((await rejection(create({ checkpoint: 'foreign' }))).code, 'incomplete_checkpoint');
    await store.remove('foreign');
  });
});

test('whatever the agent refuses, the container is removed and the restore says why', async () => {
  const no = () => {
    throw new OffloadError('runtime_failed', 'restore container web: CRIU: no');
  };
  for (const spoil of [
    (guest: World['guest']) => guest.on('restoreContainer', no),
    (guest: World['guest']) => guest.onUpload(no),
    (guest: World['guest']) => Object.assign(guest.disks, { hold: async () => no() }),
  ]) {
    await withRestores(async ({ create, guest, restores, metrics, assertNothingLeft }) => {
      spoil(guest);
      const error = await rejection(create({ ports: [{ containerPort: 80 }] }));
      assert.is(error.code, 'runtime_failed');
      assert.is(guest.calls.at(-1), `deleteContainer ${FIRST_ID}`);
      const [view] = restores.list();
      assert.is(view?.phase, 'failed');
      assert.equal(view?.error, { code: 'runtime_failed', message: 'restore container web: CRIU: no' });
      assert.match(await metrics.text(), /^offload_restore_failures_total\{policy="ordered"\} 1$/m);
      await assertNothingLeft();
    });
  }
});

test('an image that is gone fails the restore and leaves nothing', async () => {
  await withRestores(async ({ create, store }) => {
    const recipe = { ...RECIPE, imageDigest: 'sha256:2' };
    await writeCheckpoint(store, 'old', {}, { guest: 'guest-a', recipe });
    const error = await rejection(create({ checkpoint: 'old' }));
    assert.is(error.code, 'not_found');
    await store.remove('old');
  });
});

test('a pager that fails after the container runs takes the container with it', async () => {
  await withRestores(async ({ create, pagers, restores, guest, assertNothingLeft }) => {
    const { id } = await create({ policy: 'lazy' });
    pagers[0]!.send({ type: FrameType.ERROR }, Buffer.from('no memory for a page'));
    await until('a failed restore', () => restores.get(id).phase === 'failed');
    assert.match(restores.get(id).error!.message, /no memory for a page/);
    await until('the end', () => guest.calls.includes(`deleteContainer ${FIRST_ID}`));
    await until('its removal', () => pagers[0]!.closed);
    await assertNothingLeft();
  });
});

test('a pager that fails before the agent has answered is the reason that is given', async () => {
  await withRestores(async ({ create, pageServer, guest, restores, assertNothingLeft }) => {
    guest.on('restoreContainer', async ({ token }: AgentRequest) => {
      const pager = new FakePager(pageServer, 'guest-a');
      pager.hello(token);
      pager.send({ type: FrameType.ERROR }, Buffer.from('no memory for a page'));
      await until('a failed restore', () => restores.list()[0]?.phase === 'failed');
      throw new OffloadError('runtime_failed', 'restore container web: cut off');
    });
    assert.match((await rejection(create({ policy: 'lazy' }))).message, /no memory for a page/);
    await assertNothingLeft();
  });
});

test('a guest that is lost fails what is restored there, and says so', async () => {
  await withRestores(async ({ create, guest, restores, assertNothingLeft }) => {
    guest.on('restoreContainer', () => {
      guest.lost = true;
      restores.onGuestLost('guest-b');
      restores.onGuestLost('guest-a');
      throw new OffloadError('runtime_failed', 'restore container web: cut off');
    });
    const error = await rejection(create());
    assert.is(error.code, 'guest_lost');
    assert.is(error.message, 'restore container web: guest guest-a is gone');
    await assertNothingLeft();
  });
});

test('a container that is deleted while pages are missing closes its session; the word of another guest does not', async () => {
  await withRestores(async ({ create, sessions, restores, pagers, assertNothingLeft }) => {
    const { id } = await create({ policy: 'lazy' });
    await restores.onContainerGone(FIRST_ID, 'guest-b');
    assert.is(sessions[0]?.state.phase, 'connected');
    await restores.onContainerGone(FIRST_ID, 'guest-a');
    await until('a failed restore', () => restores.get(id).phase === 'failed');
    assert.match(restores.get(id).error!.message, /the container is gone/);
    await pagers[0]!.frame(FrameType.ABORT);
    await until('its end', () => sessions[0]?.state.phase === 'failed');
    await assertNothingLeft();
  });
});

test('a container that ends by itself while pages are missing stays, with its exit code, and its restore is complete', async () => {
  await withRestores(async ({ create, restores, containers, pagers, sessions, store }) => {
    const { id } = await create({ policy: 'lazy' });
    containers.onAgentEvent({ ...EXITED, exitCode: 7 }, 'guest-a');
    const over = restores.onContainerExited(FIRST_ID, 'guest-a');
    await pagers[0]!.frame(FrameType.END);
    pagers[0]!.done();
    await over;
    await until('a complete restore', () => restores.get(id).phase === 'complete');
    assert.is(sessions[0]!.state.phase, 'done');
    assert.equal([containers.get('web').phase, containers.get('web').exitCode], ['stopped', 7]);
    await store.remove('warm');
  });
});

test('one whose pager says nothing after its end is removed: pages may have been missing', async () => {
  await withRestores(async ({ create, restores, containers, assertNothingLeft }) => {
    const { id } = await create({ policy: 'lazy' });
    containers.onAgentEvent(EXITED, 'guest-a');
    await restores.onContainerExited(FIRST_ID, 'guest-a');
    await until('a failed restore', () => restores.get(id).phase === 'failed');
    assert.match(restores.get(id).error!.message, /the container is gone/);
    await until('its end', () => containers.list().length === 0);
    await assertNothingLeft();
  }, IMPATIENT);
});

test('one that was started again meanwhile is not removed: what runs now needs none of those pages', async () => {
  await withRestores(async ({ create, restores, containers, pageServer }) => {
    const { id } = await create({ policy: 'lazy' });
    containers.onAgentEvent(EXITED, 'guest-a');
    const over = restores.onContainerExited(FIRST_ID, 'guest-a');
    await containers.start('web');
    await over;
    await until('a failed restore', () => restores.get(id).phase === 'failed');
    await until('its end', () => pageServer.sessionCount === 0);
    assert.is(containers.get('web').phase, 'running');
  }, IMPATIENT);
});

test.run();
