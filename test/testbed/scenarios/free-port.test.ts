import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../../../testbed/scenarios/free-port.ts';

/** Linux's default of ip_local_port_range. */
const FIRST_EPHEMERAL = 32_768;

test('a port is none of those that the kernel gives to whoever asks for any', async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, freePort));
  assert.ok(
    ports.every((port) => port >= 1_024 && port < FIRST_EPHEMERAL),
    ports.join(' '),
  );
});

test.run();
