/** A guest whose agent is killed: how it is killed, reached again, and looked into. */
import * as assert from 'uvu/assert';
import type { AgentCall, AgentEvent, AgentRequest, ContainerSpec } from '../../interconnect/agent-api.ts';
import { AGENT_PORT } from '../../interconnect/page-protocol.ts';
import { dialGuest } from '../../interconnect/transport.ts';
import { type AgentClient, createAgentClient } from '../../offload-plane/guests/agent-client.ts';
import { pollUntil } from '../../platform/deadline.ts';
import type { Guest } from '../../testbed/qemu/guest.ts';
import { runInGuest } from '../../testbed/qemu/guest-shell.ts';
import type { Testbed } from '../../testbed/testbed.ts';

export const SHELL_PORT = 1025;
export const KILL = "kill -9 $(pgrep -f '[o]ffload/agent.mjs')";
/** Counts in memory, five times a second; for the shell that the image starts. */
export const TICKING = ['-c', 'n=0; while :; do n=$((n+1)); echo $n >/dev/shm/ticks; sleep 0.2; done'];

export interface KilledAgent {
  testbed: Testbed;
  guest: Guest;
  /** Of a container that runs all the time. */
  steady: ContainerSpec;
  steadyPid: number;
  instanceId: string;
}

/** Takes the one container that the plane has started in the guest for the steady one. */
export async function watchGuest(testbed: Testbed, guest: Guest): Promise<KilledAgent> {
  const text = await runInGuest(
    guest,
    'cat /run/offload/records/*.json; echo',
    20_000 * testbed.deadlineScale,
  );
  const { spec, life } = JSON.parse(text) as { spec: ContainerSpec; life: { phase: string; pid: number } };
  assert.is(life.phase, 'running');
  const watched = { testbed, guest, steady: spec, steadyPid: life.pid, instanceId: '' };
  watched.instanceId = (await call(watched, 'health', undefined)).instanceId;
  return watched;
}

export const shell = ({ guest, testbed }: KilledAgent, script: string) =>
  runInGuest(guest, script, 60_000 * testbed.deadlineScale);

export const killAfter = (watched: KilledAgent, ms: number) =>
  shell(watched, `sleep ${(ms / 1000).toFixed(3)}; ${KILL}`);

/** A call to the agent, as soon as there is one. */
export async function call<C extends AgentCall>(
  { guest, testbed }: KilledAgent,
  name: C,
  body: AgentRequest<C>,
  id?: string,
) {
  const limitMs = 30_000 * testbed.deadlineScale;
  const reach = async (): Promise<AgentClient | undefined> => {
    const client = createAgentClient('origin', await dialGuest(guest.vsockPath, AGENT_PORT, 5_000), limitMs);
    return client.call('health', undefined, { timeoutMs: 10_000 }).then(
      () => client,
      () => void client.close(),
    );
  };
  const agent = await pollUntil(reach, { timeoutMs: limitMs, intervalMs: 100, what: 'reach the agent' });
  try {
    return await agent.call(name, body, { timeoutMs: limitMs, ...(id ? { params: { id } } : {}) });
  } finally {
    agent.close();
  }
}

/** Nothing is in the guest but the steady container, once what was to end has ended. */
export async function assertNothingLeft(watched: KilledAgent, told = ''): Promise<void> {
  let left = '';
  const look = async () => {
    left = await leftovers(watched);
    return left === '' || undefined;
  };
  const wait = { timeoutMs: 20_000 * watched.testbed.deadlineScale, intervalMs: 100, what: 'nothing left' };
  await pollUntil(look, wait).catch((error: Error) =>
    assert.unreachable(`${told} ${error.message}, but ${left}`),
  );
}

function leftovers(watched: KilledAgent): Promise<string> {
  const known = watched.steady.id;
  const directories = ['/run/offload/containers', '/var/lib/offload/containers', '/run/offload/records'];
  return shell(
    watched,
    `ps -eo args= | grep -E '^(/usr/bin/)?(conmon|crun|criu)|^tar |[o]ffload-(pager|enter)' | grep -v -- ${known}
    ls ${directories.join(' ')} /run/offload/exits | grep -v '^/.*:$' | grep -v '^$' | grep -v ${known}
    ls /run/netns | grep -v ${known}
    ls -d /sys/fs/cgroup/offload/*/ | grep -v ${known}
    mount | grep /run/offload/containers | grep -v ${known}
    ls /run/offload/image-mounts | grep -v '^${watched.steady.rootfsLun}$'
    ip -o link | grep -c opv | grep -v '^1$'
    true`,
  );
}

/** The steady container has neither ended nor stands still, and the agent is of the same life of the guest. */
export async function assertUnharmed(watched: KilledAgent): Promise<void> {
  const state = await call(watched, 'inspectContainer', undefined, watched.steady.id);
  assert.is(state.phase, 'running');
  assert.is(state.pid, watched.steadyPid);
  const ticks = () => shell(watched, `cat /proc/${watched.steadyPid}/root/dev/shm/ticks`);
  const before = await ticks();
  await pollUntil(async () => ((await ticks()) === before ? undefined : true), {
    timeoutMs: 30_000 * watched.testbed.deadlineScale,
    intervalMs: 50,
    what: 'the steady container to go on',
  });
  assert.is((await call(watched, 'health', undefined)).instanceId, watched.instanceId);
}

/** The agent's numbers go on, and of no container was anything told twice, too late or not at all. */
export async function assertEventsInOrder(watched: KilledAgent): Promise<void> {
  const text = await shell(watched, 'tail -n 200 /run/offload/events.ndjson');
  const lines = text.trim().split('\n');
  const events = lines.map((line) => JSON.parse(line) as AgentEvent);
  const numbers = events.map(({ sequence }) => sequence);
  assert.equal(
    numbers,
    numbers.map((_, index) => numbers[0]! + index),
  );
  const order = /^((created |restored )(started )?(resumed )*(exited )?(checkpointed )?)*(deleted )?$/;
  for (const [id, life] of Map.groupBy(events, ({ container }) => container)) {
    const told = life.map(({ event }) => `${event} `).join('');
    assert.match(told, order, `${id}: ${told}`);
  }
}
