import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import * as assert from 'uvu/assert';
import { type Endpoint, WORKLOADS } from '../../testbed/workloads/workloads.ts';
import { suite } from '../helpers/suite.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';
import { deadlineOf, endpointOf } from '../helpers/warm-container.ts';

const test = suite<{ testbed: TwoGuests; endpoint: Endpoint }>('bulk through a published port');
/**
 * OFFLOAD_BULK_MIB=1024 takes the whole GiB each way. The default keeps the suite short under emulation, and is past
 * where bulk without acknowledgements has stalled.
 */
const BULK_BYTES = Number(process.env.OFFLOAD_BULK_MIB ?? 192) * 1024 * 1024;
/** The plane may hold so much more than before while bulk waits for a slow reader. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;
const CHUNK = Buffer.alloc(256 * 1024, 'offload');

test.before(async (context) => {
  const { node } = WORKLOADS;
  context.testbed = await takeTwoGuests();
  const { plane } = context.testbed;
  await plane.containers.create({
    name: 'bulk',
    guest: 'origin',
    image: 'node',
    env: node.containerEnv(node.smallSize),
    ports: [{ containerPort: node.containerPort }],
  });
  await plane.containers.start('bulk');
  context.endpoint = await endpointOf(context.testbed, 'bulk');
  await node.waitReady(context.endpoint, deadlineOf(context.testbed));
});
test.after(async ({ testbed }) => await testbed?.stop());

async function planeMemoryBytes(testbed: TwoGuests): Promise<number> {
  const text = await testbed.plane.metrics();
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(text)?.[1]);
}

test('bulk leaves the guest without a stall, though the reader stops for a while, and calls go on beside it', async ({
  testbed,
  endpoint,
}) => {
  const call = request({ ...endpoint, path: `/stream?bytes=${BULK_BYTES}`, agent: false });
  call.end();
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  const before = await planeMemoryBytes(testbed);
  // Nobody reads: what is under way has to wait in the guest, and the agent's calls must not wait for it.
  for (let round = 0; round < 20; round += 1) await testbed.plane.containers.stats('bulk');
  const held = (await planeMemoryBytes(testbed)) - before;
  assert.ok(held < HELD_BYTES_MAX, `the plane held ${held} bytes for a reader that did not read`);
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) bytes += chunk.length;
  assert.is(bytes, BULK_BYTES);
});

test('bulk enters the guest and arrives as it was sent', async ({ endpoint }) => {
  const call = request({ ...endpoint, path: '/sink', method: 'POST', agent: false });
  const answered = once(call, 'response') as Promise<[IncomingMessage]>;
  let sum = 0;
  const source = Readable.from(
    (function* () {
      for (let sent = 0; sent < BULK_BYTES; sent += CHUNK.length) {
        sum = crc32(CHUNK, sum);
        yield CHUNK;
      }
    })(),
  );
  await pipeline(source, call);
  const [response] = await answered;
  const body = JSON.parse((await response.toArray()).join('')) as { bytes: number; crc32: number | string };
  assert.is(body.bytes, BULK_BYTES);
  assert.is(Number(body.crc32), sum);
});

test.run();
