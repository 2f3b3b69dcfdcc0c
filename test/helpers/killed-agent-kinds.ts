/** What an agent does to a container in one call, and what it may have come to when it was killed meanwhile. */
import type { ContainerSpec } from '../../interconnect/agent-api.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { call, type KilledAgent } from './killed-agent.ts';

export const specOf = ({ steady }: KilledAgent, id: string, command: string): ContainerSpec => ({
  ...steady,
  id,
  hostname: id,
  address: '10.88.200.9/16',
  command: ['/bin/sh', '-c', command],
});

export interface Kind {
  what: string;
  /** Done before, in peace. */
  before?: (watched: KilledAgent, id: string) => Promise<unknown>;
  /** What the agent is killed in the middle of. */
  act: (watched: KilledAgent, id: string) => Promise<unknown>;
  /** The kill comes up to so long after it began, by a fast machine's clock. */
  spanMs: number;
  /** The phases it may be in afterwards; absent counts as `gone`. */
  after: string[];
}

const create =
  (command = 'sleep 1000') =>
  (watched: KilledAgent, id: string) =>
    call(watched, 'createContainer', specOf(watched, id, command), id);
const start = (watched: KilledAgent, id: string) => call(watched, 'startContainer', {}, id);
const started = async (watched: KilledAgent, id: string) => {
  await create()(watched, id);
  await start(watched, id);
};

export async function end(watched: KilledAgent, id: string): Promise<void> {
  await call(watched, 'killContainer', { signal: 'KILL' }, id);
  await pollUntil(
    async () => (await call(watched, 'inspectContainer', undefined, id)).phase === 'stopped' || undefined,
    { timeoutMs: 30_000 * watched.testbed.deadlineScale, intervalMs: 50, what: 'its end' },
  );
}

export const KINDS: Kind[] = [
  { what: 'creates a container', act: create(), spanMs: 150, after: ['gone', 'created'] },
  { what: 'starts one', before: create(), act: start, spanMs: 40, after: ['created', 'running'] },
  {
    what: 'watches one that ends',
    before: create('exit 3'),
    act: start,
    spanMs: 60,
    after: ['created', 'stopped'],
  },
  {
    what: 'pauses one',
    before: started,
    act: (watched, id) => call(watched, 'pauseContainer', {}, id),
    spanMs: 40,
    after: ['running', 'paused'],
  },
  {
    what: 'removes one',
    before: started,
    act: (watched, id) => call(watched, 'deleteContainer', undefined, id),
    spanMs: 100,
    after: ['gone', 'running'],
  },
  {
    what: 'creates a stopped one again',
    before: async (watched, id) => {
      await started(watched, id);
      await end(watched, id);
    },
    act: (watched, id) => call(watched, 'recreateContainer', specOf(watched, id, 'sleep 1000'), id),
    spanMs: 150,
    after: ['stopped', 'created'],
  },
];
