import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeCgroup } from '../../helpers/agent-world.ts';
import { assertProblem, withApi } from '../../helpers/api-world.ts';
import { startFakeMachine } from '../../helpers/fake-machine.ts';
import { until } from '../../helpers/until.ts';

const WEB = { name: 'web', guest: 'guest-a', image: 'redis' };

test('a container of a lost guest comes back from its last checkpoint, as soon as another guest takes it, where its policy says so', async () => {
  const whenGuestsGo = { guestLostMs: 1_000 };
  await withApi(async ({ send, machine }) => {
    const other = await startFakeMachine('guest-b');
    try {
      await send('POST', '/v1/guests', machine.registration);
      const ports = [{ containerPort: 80 }];
      const made = (await send('POST', '/v1/containers', { ...WEB, onLost: 'restore', ports })).body;
      await send('POST', '/v1/containers', { ...WEB, name: 'other' });
      for (const name of ['web', 'other']) await send('POST', `/v1/containers/${name}/start`);
      await send('POST', '/v1/checkpoints', { container: 'web', id: 'warm' });
      machine.close();
      const web = async () => (await send('GET', '/v1/containers/web')).body;
      const events = async () => String((await send('GET', '/v1/events?since=0&follow=false')).body);
      await until('why it is not', async () =>
        /no guest takes it: guest-a is lost; tried again in 1000 ms/.test(await events()),
      );
      assert.equal([(await web()).phase, (await web()).ports], ['lost', made.ports]);
      await send('POST', '/v1/guests', other.registration);
      await until('its return', async () => {
        const { guest, phase } = await web();
        return guest === 'guest-b' && phase === 'running';
      });
      assert.equal((await web()).ports, made.ports);
      assert.is((await web()).policies.onLost, 'restore');
      await until('one web', async () => (await send('GET', '/v1/containers')).body.items.length === 2);
      assert.is((await send('GET', '/v1/containers/other')).body.phase, 'lost');
      await send('DELETE', '/v1/containers/web?force=true');
    } finally {
      other.close();
    }
  }, whenGuestsGo);
});

test('a cordoned guest takes no new container until it is uncordoned', async () => {
  await withApi(async ({ send, machine }) => {
    await send('POST', '/v1/guests', machine.registration);
    assert.is((await send('POST', '/v1/guests/guest-a/cordon')).body.cordoned, true);
    assertProblem(await send('POST', '/v1/containers', WEB), 'invalid_state', 409);
    assert.is((await send('POST', '/v1/guests/guest-a/uncordon')).body.cordoned, false);
    assert.is((await send('POST', '/v1/containers', WEB)).status, 201);
  });
});

test('a guest that is drained is cordoned; what runs moves with name, ports and policies, and what cannot go stays', async () => {
  await withApi(async ({ send, machine }) => {
    const other = await startFakeMachine('guest-b');
    try {
      await send('POST', '/v1/guests', machine.registration);
      const ports = [{ containerPort: 80 }];
      const made = (await send('POST', '/v1/containers', { ...WEB, ports, restart: { name: 'always' } }))
        .body;
      await send('POST', '/v1/containers/web/start');
      await send('POST', '/v1/containers', { ...WEB, name: 'idle' });
      const alone = await send('POST', '/v1/guests/guest-a/drain', {});
      assert.is(alone.status, 200, JSON.stringify(alone.body));
      assert.equal(
        alone.body.left.map(({ container }: { container: string }) => container),
        ['web', 'idle'],
      );
      assert.match(alone.body.left[0].reason, /no guest takes it: guest-a is cordoned/);
      assert.is((await send('GET', '/v1/containers/web')).body.phase, 'running');

      await send('POST', '/v1/guests', other.registration);
      const killFile = join(makeCgroup(machine.world, made.id), 'cgroup.kill');
      writeFileSync(killFile, '');
      const asked = send('POST', '/v1/guests/guest-a/drain', { rest: 'stop' });
      await until('the end of the one that moves', () => readFileSync(killFile, 'utf8') === '1');
      machine.world.leaveExit(made.id, 137);
      const answer = await asked;
      assert.is(answer.status, 200, JSON.stringify(answer.body));
      const drained = answer.body;
      assert.equal(
        drained.moved.map(({ container, guest }: Record<string, string>) => [container, guest]),
        [['web', 'guest-b']],
        JSON.stringify(drained),
      );
      assert.match(drained.left[0].reason, /checkpoint container idle: it is created/);
      const web = (await send('GET', '/v1/containers/web')).body;
      assert.equal([web.guest, web.phase, web.ports], ['guest-b', 'running', made.ports]);
      assert.is(web.policies.restart.name, 'always');
      assert.is((await send('GET', '/v1/containers')).body.items.length, 2);
      assert.is((await send('GET', '/v1/guests/guest-a')).body.cordoned, true);
      await send('DELETE', '/v1/containers/web?force=true');
    } finally {
      other.close();
    }
  });
});

test.run();
