import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  openPortForward,
  type PortForward,
  type PortForwardOptions,
} from '../../../offload-plane/containers/port-forward.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { freePort } from '../../../testbed/scenarios/free-port.ts';
import { rejection } from '../../helpers/rejection.ts';
import { until } from '../../helpers/until.ts';

interface Published {
  forward: PortForward;
  /** The container's ends of the connections made to it. */
  dialled: Duplex[];
  run: () => void;
  refuse: (error: Error) => void;
  errors: Error[];
  responses: number;
  client(): Socket;
}

async function published(
  body: (port: Published) => Promise<void>,
  options: Partial<PortForwardOptions> = {},
) {
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => undefined);
  const clients: Socket[] = [];
  const port: Omit<Published, 'forward'> = {
    dialled: [],
    errors: [],
    responses: 0,
    run: () => ready.resolve(),
    refuse: ready.reject,
    client() {
      const socket = connect({ port: forward.hostPort, host: '127.0.0.1' });
      socket.on('error', () => {});
      clients.push(socket);
      return socket;
    },
  };
  const forward = await openPortForward({
    container: 'web',
    hostAddress: '127.0.0.1',
    hostPort: 0,
    containerPort: 80,
    ready: () => ready.promise,
    holdTimeoutMs: 60_000,
    dial: async () => {
      const [near, far] = duplexPair();
      port.dialled.push(far);
      return near;
    },
    onFirstResponse: () => {
      port.responses += 1;
    },
    onError: (error) => port.errors.push(error),
    ...options,
  });
  try {
    await body(Object.assign(port, { forward }));
  } finally {
    forward.close();
    for (const client of clients) client.destroy();
  }
}

const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

test('a client that comes early is held until the container runs, and then what it sent is delivered', async () => {
  await published(async (port) => {
    const client = port.client();
    client.write('early question');
    await once(client, 'connect');
    assert.is(port.dialled.length, 0);
    port.run();
    await until('the dial', () => port.dialled.length === 1);
    const [asked] = (await once(port.dialled[0]!, 'data')) as [Buffer];
    assert.is(String(asked), 'early question');
    port.dialled[0]!.end('answer');
    client.end();
    assert.is(String(await buffer(client)), 'answer');
  });
});

test('a client may end its half and still gets the answer', async () => {
  await published(async (port) => {
    port.run();
    const client = port.client();
    client.end('question');
    await until('the dial', () => port.dialled.length === 1);
    assert.is(String(await buffer(port.dialled[0]!)), 'question');
    port.dialled[0]!.end('late answer');
    assert.is(String(await buffer(client)), 'late answer');
  });
});

test('the first byte of every connection is told', async () => {
  await published(async (port) => {
    port.run();
    const client = port.client();
    await until('the dial', () => port.dialled.length === 1);
    assert.is(port.responses, 0, 'a connection alone is no response');
    port.dialled[0]!.write('+PONG');
    await once(client, 'data');
    assert.is(port.responses, 1);
    port.dialled[0]!.write('+PONG');
    await once(client, 'data');
    assert.is(port.responses, 1);
  });
});

test('held clients are let go when the container ends instead', async () => {
  await published(async (port) => {
    const client = port.client();
    await once(client, 'connect');
    port.refuse(new OffloadError('invalid_state', 'container web is stopped'));
    await closed(client);
    assert.is(port.dialled.length, 0);
    assert.is(port.errors[0]?.message, 'container web is stopped');
  });
});

test('a client is not held for ever', async () => {
  await published(
    async (port) => {
      const client = port.client();
      await closed(client);
      assert.is(port.errors[0]?.message, 'connect to port 80 of container web: no answer within 30 ms');
    },
    { holdTimeoutMs: 30 },
  );
});

test('a container that refuses the connection resets the client', async () => {
  await published(
    async (port) => {
      port.run();
      const client = port.client();
      await closed(client);
      assert.is(port.errors[0]?.message, 'nobody listens');
    },
    { dial: () => Promise.reject(new OffloadError('guest_lost', 'nobody listens')) },
  );
});

test('a connection that breaks in the guest breaks for the client', async () => {
  await published(async (port) => {
    port.run();
    const client = port.client();
    await until('the dial', () => port.dialled.length === 1);
    port.dialled[0]!.on('error', () => {}).destroy(new Error('cut'));
    client.resume();
    await closed(client);
  });
});

test('a client that hangs up ends the connection in the guest', async () => {
  await published(async (port) => {
    port.run();
    const client = port.client();
    await until('the dial', () => port.dialled.length === 1);
    port.dialled[0]!.on('error', () => {}).resume();
    client.resetAndDestroy();
    await until('its end', () => port.dialled[0]!.destroyed || port.dialled[0]!.readableEnded);
  });
});

test('a closed port refuses new clients and ends those it has', async () => {
  // None that the kernel may give to another meanwhile.
  const own = { hostPort: await freePort() };
  await published(async (port) => {
    port.run();
    const client = port.client();
    await until('the dial', () => port.dialled.length === 1);
    port.forward.close();
    client.resume();
    await closed(client);
    const late = port.client();
    const [error] = await once(late, 'error').catch((e) => [e]);
    assert.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  }, own);
});

test('a port that is taken says so, and which', async () => {
  await published(async ({ forward }) => {
    const error = await rejection(
      openPortForward({ hostAddress: '127.0.0.1', hostPort: forward.hostPort } as PortForwardOptions),
    );
    assert.is(error.code, 'already_exists');
    assert.is(error.message, `publish port 127.0.0.1:${forward.hostPort}: the address is in use`);
  });
});

test.run();
