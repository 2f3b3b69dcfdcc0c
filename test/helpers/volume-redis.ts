/** A Redis that keeps its data in the volume `data`, and answers each write after its fsync. */
import type { Testbed } from '../../testbed/testbed.ts';
import { RedisConnection } from '../../testbed/workloads/redis-connection.ts';
import { encodeCommand, type Reply } from '../../testbed/workloads/resp.ts';
import { until } from './until.ts';
import { deadlineOf, endpointOf } from './warm-container.ts';

type World = Pick<Testbed, 'plane' | 'deadlineScale'>;

const SERVER = ['/usr/bin/redis-server', '/etc/redis/redis.conf'];
const COMMAND = [...SERVER, '--dir', '/data', '--appendonly', 'yes', '--appendfsync', 'always'];

export async function startOnVolume({ plane }: World, name: string, guest: string): Promise<void> {
  await plane.containers.create({
    ...{ name, guest, image: 'redis', command: COMMAND },
    ports: [{ containerPort: 6379 }],
    volumes: [{ name: 'data', destination: '/data', readOnly: false }],
  });
  await plane.containers.start(name);
}

export async function ask(world: World, name: string, ...words: string[]): Promise<string | undefined> {
  const endpoint = await endpointOf(world, name);
  let reply: Reply | undefined;
  await until(`${name} answers ${words[0]}`, async () => {
    const connection = new RedisConnection(endpoint, words.join(' '), deadlineOf(world));
    try {
      [reply] = await connection.send(encodeCommand(...words), 1);
      // It refuses while it still reads its data.
      return reply?.kind !== 'error';
    } catch {
      return false;
    } finally {
      connection.destroy();
    }
  });
  return reply?.kind === 'bulk' ? String(reply.value) : reply?.kind;
}
