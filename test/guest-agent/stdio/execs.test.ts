/** Execs over a little executable in the place of conmon, and attach sockets that the test writes to. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { duplexPair } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Containers } from '../../../guest-agent/containers.ts';
import { containerPaths } from '../../../guest-agent/paths.ts';
import type { AttachSocket, OutputStream } from '../../../guest-agent/runtime/attach-socket.ts';
import { createExecs } from '../../../guest-agent/stdio/execs.ts';
import { NOBODY } from '../../../guest-agent/stdio/nobody.ts';
import type { ExecSpec } from '../../../interconnect/exec-api.ts';
import { END, FrameDecoder, STDOUT } from '../../../interconnect/stdio-frames.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

/** Its program ends at once, with 3. */
const CONMON = `#!/bin/sh
for word in "$@"; do
  case "$last" in --exit-dir) exits=$word ;; --cid) id=$word ;; esac
  last=$word
done
echo '{"data": 0}' >&5
exec 5>&-
printf 3 > "$exits/$id"
echo '{"data": 4242}' >&3
`;
const SPEC: ExecSpec = {
  command: ['true'],
  env: [],
  terminal: false,
  openStdin: false,
  detached: true,
};

function setUp(keptEnded?: number) {
  const directory = tempDirectory('execs');
  const paths = {
    runDirectory: join(directory, 'run'),
    dataDirectory: join(directory, 'data'),
    programDirectory: join(directory, 'programs'),
    cgroupRoot: join(directory, 'cgroup'),
    seccompProfile: join(directory, 'seccomp.json'),
  };
  const conmonProgram = join(directory, 'conmon');
  writeFileSync(conmonProgram, CONMON);
  chmodSync(conmonProgram, 0o700);
  for (const id of ['a', 'b']) {
    const { config } = containerPaths(paths, id);
    mkdirSync(dirname(config), { recursive: true });
    writeFileSync(
      config,
      JSON.stringify({ process: { user: { uid: 0, gid: 0 }, env: [], cwd: '/', args: [] } }),
    );
  }
  let count = 0;
  return createExecs({
    paths,
    containers: { get: (id: string) => ({ id }), expectPhase() {} } as unknown as Containers,
    connectAttach: async () => saying('hello'),
    userOf: async () => ({ uid: 0, gid: 0 }),
    randomId: () => `exec-${count++}`,
    createTimeoutMs: 120_000,
    conmonProgram,
    ...(keptEnded === undefined ? {} : { keptEnded }),
  });
}

/** The attach socket of a program that says so much and ends. */
function saying(text: string): AttachSocket {
  let listener: (stream: OutputStream, bytes: Buffer) => void = () => {};
  const closed = new Promise<void>((resolve) => {
    setImmediate(() => {
      listener(STDOUT, Buffer.from(text));
      resolve();
    });
  });
  const onOutput: AttachSocket['onOutput'] = (given) => {
    listener = given;
  };
  return { ...NOBODY, onOutput, closed };
}

async function ended(execs: ReturnType<typeof setUp>, container: string): Promise<string> {
  const { id } = await execs.create(container, SPEC);
  await until('end of the exec', () => !execs.inspect(container, id).running);
  return id;
}

test('whoever attaches after the end is told the output and the exit code, each time', async () => {
  const execs = setUp();
  const id = await ended(execs, 'a');
  for (const _ of [1, 2]) {
    const [client, server] = duplexPair();
    execs.attach('a', id, () => server, 1_024);
    const decoder = new FrameDecoder();
    const frames = [];
    for await (const chunk of client) frames.push(...decoder.push(chunk as Buffer));
    assert.equal(
      frames.map(({ type }) => type),
      [STDOUT, END],
    );
    assert.is(frames[0]!.payload.toString(), 'hello');
    assert.match(frames[1]!.payload.toString(), /"exitCode":3/);
  }
});

test('of ended execs so many are known in all containers together, the last ones', async () => {
  const execs = setUp(3);
  const ids: [string, string][] = [];
  for (const container of ['a', 'b', 'a', 'b', 'a']) ids.push([container, await ended(execs, container)]);
  const known = ids.filter(([container, id]) => {
    try {
      return execs.inspect(container, id);
    } catch {
      return false;
    }
  });
  assert.equal(known, ids.slice(2));
});

test.run();
