/** Redis as a native workload: values that follow from their keys, some of which a request reads in one go. */
import { createHash } from 'node:crypto';
import { OffloadError } from '../../platform/errors.ts';
import { freePort } from '../scenarios/free-port.ts';
import type { NativeWorkload } from './workload.ts';

/** 25 times the 40 digits of a SHA-1. */
const VALUE_REPEATS = 25;
const VALUE_BYTES = 40 * VALUE_REPEATS;
const READ_COUNT = 2_000;
/** Prime, so that keys lie far from each other. */
const STRIDE = 7_919;
const LOADER = '/run/redis/usr/lib/x86_64-linux-gnu';

/** @param tree a directory with a Debian tree that has redis-server and its libraries */
export async function redisServer(tree: string, dataMiB: number): Promise<NativeWorkload> {
  const port = await freePort();
  const keyCount = Math.floor((dataMiB * 1024 * 1024) / VALUE_BYTES);
  const keys = Array.from({ length: Math.min(READ_COUNT, keyCount) }, (_, i) => (i * STRIDE) % keyCount);
  const fill = `for i=0,${keyCount - 1} do redis.call('SET','k'..i,string.rep(redis.sha1hex(i),${VALUE_REPEATS})) end return 1`;
  const expected = Buffer.concat([...keys.map((key) => bulk(valueAt(key))), Buffer.from('+OK\r\n')]);
  const options = `--port ${port} --save '' --appendonly no --daemonize no --protected-mode no --activedefrag no`;
  return {
    name: `redis-${dataMiB}`,
    programs: [],
    mounts: { redis: tree },
    command: `${LOADER}/ld-linux-x86-64.so.2 --library-path ${LOADER} /run/redis/usr/bin/redis-server ${options} --dir /run/test/work`,
    fill: Buffer.concat([request('EVAL', fill, '0'), request('QUIT')]),
    address: () => `tcp:${port}`,
    request: Buffer.concat([...keys.map((key) => request('GET', `k${key}`)), request('QUIT')]),
    verify(answer) {
      if (answer.equals(expected)) return;
      throw new OffloadError(
        'digest_mismatch',
        `redis: ${answer.length} bytes, expected ${expected.length} others`,
      );
    },
  };
}

const valueAt = (key: number) => createHash('sha1').update(String(key)).digest('hex').repeat(VALUE_REPEATS);

function request(...words: readonly string[]): Buffer {
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...words.map((word) => bulk(word))]);
}

function bulk(word: string): Buffer {
  return Buffer.from(`$${Buffer.byteLength(word)}\r\n${word}\r\n`);
}
