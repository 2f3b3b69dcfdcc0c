/** `agent-call`: the API of a guest's agent by hand, past the plane. */
import { once } from 'node:events';
import http2 from 'node:http2';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { AGENT_PORT } from '../../../interconnect/page-protocol.ts';
import { dialGuest } from '../../../interconnect/transport.ts';
import { withDeadline } from '../../../platform/deadline.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { joinStreams } from '../../../platform/join-streams.ts';
import type { PlaneClient } from '../../client/index.ts';
import type { CliContext } from '../context.ts';

interface Flags {
  guest?: string;
  vsock?: string;
  data?: string;
  timeoutMs: number;
}

const DIAL_TIMEOUT_MS = 30_000;
/** As many as an agent takes, and one for the plane. */
const MAX_RELAYED = 7;
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'];

function parseTimeout(value: string): number {
  if (!/^[1-9]\d{0,6}$/.test(value)) throw new InvalidArgumentError('expected milliseconds');
  return Number(value);
}

export function addAgentCall(program: Command, context: CliContext): void {
  program
    .command('agent-call')
    .description("call the API of a guest's agent by hand (see docs/api.md)")
    .argument('<method>', METHODS.join(', '))
    .argument('<path>', 'for example /v1/health')
    .option('--guest <guest>', 'which one (default: the only one)')
    .addOption(
      new Option('--vsock <path>', "the guest's vsock as a Unix socket; needs no plane").conflicts('guest'),
    )
    .option('--data <json>', 'body of the request')
    .option('--timeout-ms <milliseconds>', 'how long to wait for the answer', parseTimeout, 30_000)
    .action(async (method: string, path: string, flags: Flags) => {
      const call = async (vsockPath: string) => {
        process.stdout.write(await callAgent(vsockPath, method.toUpperCase(), path, flags));
      };
      if (flags.vsock !== undefined) return call(flags.vsock);
      await context.withPlane(async (client) => call(await vsockOf(client, flags.guest)));
    });
  program
    .command('agent-socket')
    .description(
      "offer the API of a guest's agent on a Unix socket, for curl and its kin, until it is interrupted",
    )
    .argument('<path>', 'of the socket; a file that is there is left alone')
    .option('--guest <guest>', 'which one (default: the only one)')
    .action(async (path: string, flags: Flags) =>
      context.withPlane(async (client) => relay(path, await vsockOf(client, flags.guest))),
    );
}

/** Each connection there is one to the agent, without the words that dial a guest. */
async function relay(path: string, vsockPath: string): Promise<void> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    dialGuest(vsockPath, AGENT_PORT, DIAL_TIMEOUT_MS).then(
      (agent) => joinStreams(socket, agent),
      () => socket.destroy(),
    );
  });
  server.maxConnections = MAX_RELAYED;
  server.listen({ path, readableAll: false, writableAll: false });
  await once(server, 'listening');
  await Promise.race(['SIGINT', 'SIGTERM'].map((signal) => once(process, signal)));
  server.close();
}

async function vsockOf(client: PlaneClient, name: string | undefined): Promise<string> {
  const guests = await client.guests.list();
  const wanted = name === undefined ? guests : guests.filter((guest) => guest.name === name);
  const [guest] = wanted;
  if (guest && wanted.length === 1) return guest.vsockPath;
  const names = guests.map((each) => each.name).join(', ') || 'none';
  throw new OffloadError('not_found', `agent-call: --guest has to name one of: ${names}`);
}

/** @returns the answer with a newline at its end */
async function callAgent(vsockPath: string, method: string, path: string, flags: Flags): Promise<string> {
  const { data, timeoutMs } = flags;
  const socket = await dialGuest(vsockPath, AGENT_PORT, timeoutMs);
  const session = http2.connect('http://agent', { createConnection: () => socket });
  try {
    const stream = session.request(
      {
        ':method': method,
        ':path': path,
        ...(data === undefined ? {} : { 'content-type': 'application/json' }),
      },
      { endStream: data === undefined },
    );
    if (data !== undefined) stream.end(data);
    const status = new Promise<number>((resolve, reject) => {
      session.once('error', reject);
      stream.once('error', reject);
      stream.once('response', (headers) => resolve(Number(headers[':status'])));
    });
    const answer = Promise.all([status, text(stream)]);
    const [code, body] = await withDeadline(answer, timeoutMs, `agent-call ${method} ${path}`);
    if (code < 400) return body === '' || body.endsWith('\n') ? body : `${body}\n`;
    throw new OffloadError('invalid_request', `agent-call ${method} ${path}: status ${code}: ${body.trim()}`);
  } finally {
    session.destroy();
  }
}
