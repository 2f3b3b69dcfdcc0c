import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { execa } from 'execa';
import { spawn } from 'node-pty';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeFrame, STDOUT } from '../../../interconnect/stdio-frames.ts';
import { pollUntil } from '../../../platform/deadline.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const PROGRAM = join(import.meta.dirname, '../../../testbed/cli/main.ts');
/** Several at once on a busy machine. */
const TIMEOUT_MS = 60_000;

/** Compiled once, started often. */
const NODE_COMPILE_CACHE = tempDirectory('compiled');

const offload = (args: string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [PROGRAM, ...args], {
    reject: false,
    timeout: TIMEOUT_MS,
    env: { FORCE_COLOR: '0', NODE_COMPILE_CACHE, ...env },
  });

const VERBS = [
  ...['demo', 'test', 'ps', 'run', 'kill', 'pause', 'resume', 'rm', 'logs', 'stats'],
  ...['checkpoints', 'checkpoint', 'pin', 'unpin', 'restore', 'restores', 'guests', 'images', 'import'],
  ...[
    'create',
    'start',
    'stop',
    'restart',
    'unpause',
    'wait',
    'rename',
    'inspect',
    'top',
    'port',
    'container',
  ],
  ...['exec', 'attach', 'cp', 'volume', 'pull', 'rmi', 'image', 'completion', 'agent-call', 'store'],
  ...['guest', 'events', 'operation', 'up', 'down', 'status', 'dashboard'],
];

const CONTAINER = {
  id: 'c0ffee00c0de',
  name: 'web',
  guest: 'guest-a',
  image: 'redis',
  phase: 'running',
  address: '10.88.0.2',
  ports: [{ hostAddress: '127.0.0.1', hostPort: 40_001, containerPort: 6379 }],
  labels: {},
  policies: {},
  restartCount: 0,
  createdAt: '2020-01-01T00:00:00.000Z',
};
const ENDED = { ...CONTAINER, id: 'ba5eba11c0de', name: 'job', phase: 'stopped', exitCode: 3, ports: [] };

interface Asked {
  line: string;
  body: unknown;
}

class Refusal {
  readonly status: number;
  readonly title: string;
  readonly detail: string;

  constructor(status: number, title: string, detail: string) {
    [this.status, this.title, this.detail] = [status, title, detail];
  }
}
const NOT_FOUND = new Refusal(404, 'not_found', 'container none: there is none of this name');

/** A plane's socket with an answer to each `METHOD path`; what it has not is a problem as the plane tells it. */
async function withPlane(
  answers: Record<string, unknown>,
  body: (socket: string, asked: Asked[]) => Promise<void>,
): Promise<void> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const line = `${request.method} ${request.url}`;
    const sent = await text(request);
    asked.push({ line, body: sent ? JSON.parse(sent) : undefined });
    const answer = answers[line];
    if (answer === undefined || answer instanceof Refusal) {
      const { status, title, detail } = answer ?? NOT_FOUND;
      response.writeHead(status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ title, status, detail }));
    } else response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  const socket = join(tempDirectory('cli'), 'plane.sock');
  server.listen(socket);
  await once(server, 'listening');
  try {
    await body(socket, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('--help lists every verb with what it does', async () => {
  const { exitCode, stdout } = await offload(['--help']);
  assert.is(exitCode, 0);
  for (const verb of VERBS) assert.match(stdout, new RegExp(`^  ${verb} .*\\w`, 'm'));
});

test('an unknown command, flag or value is named on stderr, with exit code 1', async () => {
  const cases = [
    [['fly'], /^offload: unknown command 'fly'; see offload --help$/],
    [['ps', '--every'], /^offload: unknown option '--every'; see offload --help$/],
    [
      ['restore', 'warm', '--name', 'a', '--guest', 'b', '--policy', 'fast'],
      /^offload: .*'fast' is invalid.*; see offload --help$/,
    ],
    [
      ['create', '--name', 'a', '--guest', 'b', '-p', '80:http', 'redis'],
      /^offload: .*\[hostPort:\]containerPort.*; see offload --help$/,
    ],
    [['demo', '--vcpus', '0'], /^offload: .*expected a positive whole number; see offload --help$/],
  ] as const;
  const results = await Promise.all(cases.map(([args]) => offload([...args])));
  for (const [index, [, message]] of cases.entries()) {
    const { exitCode, stdout, stderr } = results[index]!;
    assert.is(exitCode, 1);
    assert.match(stderr, message);
    assert.is(stdout, '');
  }
});

test('without a plane there is one line that names the socket, and exit code 1', async () => {
  const socket = join(tempDirectory('cli'), 'nobody.sock');
  const [byFlag, byEnvironment] = await Promise.all([
    offload(['--socket', socket, 'ps']),
    offload(['guests'], { OFFLOAD_SOCKET: socket }),
  ]);
  for (const { exitCode, stdout, stderr } of [byFlag, byEnvironment]) {
    assert.is(exitCode, 1);
    assert.is(stdout, '');
    assert.match(stderr, /^offload: plane at [^\n]+\n +bring one up with `offload up`[^\n]+$/);
    assert.ok(stderr.includes(socket));
  }
});

test('ps lists what runs, with --all the rest, with --quiet ids, and JSON where it is asked for', async () => {
  const items = [CONTAINER, ENDED];
  await withPlane({ 'GET /v1/containers?limit=1000': { items } }, async (socket) => {
    const at = ['--socket', socket];
    const [table, all, quiet, json] = await Promise.all([
      offload([...at, 'ps']),
      offload([...at, 'ps', '-a']),
      offload([...at, 'ps', '-aq']),
      offload([...at, 'ps', '--all', '--json']),
    ]);
    const [head, row, ...rest] = table.stdout.split('\n');
    assert.match(head ?? '', /^CONTAINER ID +NAME +IMAGE +GUEST +CREATED +STATUS +PORTS$/);
    assert.match(
      row ?? '',
      /^c0ffee00c0de +web +redis +guest-a +\d+ years ago +Up +127.0.0.1:40001->6379\/tcp$/,
    );
    assert.equal(rest, []);
    assert.match(all.stdout, /^ba5eba11c0de +job .*Exited \(3\)/m);
    assert.equal(quiet.stdout.split('\n'), ['c0ffee00c0de', 'ba5eba11c0de']);
    assert.equal(JSON.parse(json.stdout), items);
  });
});

test('filters of ps are asked of the plane, in Docker’s words too', async () => {
  const answers = { 'GET /v1/containers?limit=1000&phase=stopped&label=a%3D1&label=b': { items: [ENDED] } };
  await withPlane(answers, async (socket) => {
    const flags = ['-q', '-f', 'status=exited', '-f', 'label=a=1', '-f', 'label=b'];
    assert.is((await offload(['--socket', socket, 'ps', ...flags])).stdout, 'ba5eba11c0de');
    const unknown = await offload(['--socket', socket, 'ps', '-f', 'colour=red']);
    assert.match(unknown.stderr, /expected one of phase, status/);
  });
});

test('what is done to several containers is done to each, and one failure is told at the end', async () => {
  const answers = { 'POST /v1/containers/web/stop': CONTAINER, 'POST /v1/containers/job/stop': ENDED };
  await withPlane(answers, async (socket, asked) => {
    const { exitCode, stdout, stderr } = await offload([
      ...['--socket', socket, 'stop', '-t', '3', '-s', 'int', 'web', 'none', 'job'],
    ]);
    assert.is(exitCode, 1);
    assert.is(stdout, 'web\njob');
    assert.match(stderr, /^offload: container none: there is none of this name/);
    assert.equal(asked[0], {
      line: 'POST /v1/containers/web/stop',
      body: { signal: 'SIGINT', graceMs: 3_000 },
    });
  });
});

test('wait prints exit codes, and rename says nothing', async () => {
  const answers = {
    'POST /v1/containers/job/wait': { phase: 'stopped', exitCode: 3 },
    'POST /v1/containers/job/rename': ENDED,
  };
  await withPlane(answers, async (socket, asked) => {
    assert.is((await offload(['--socket', socket, 'wait', 'job'])).stdout, '3');
    assert.is((await offload(['--socket', socket, 'rename', 'job', 'done'])).stdout, '');
    assert.equal(asked.at(-1)?.body, { name: 'done' });
  });
});

test('an empty list prints nothing as a table and an empty list as JSON', async () => {
  await withPlane({ 'GET /v1/checkpoints?limit=1000': { items: [] } }, async (socket) => {
    assert.is((await offload(['--socket', socket, 'checkpoints'])).stdout, '');
    assert.is((await offload(['--socket', socket, '--json', 'checkpoints'])).stdout, '[]');
  });
});

test("the plane's refusal is one line with exit code 1", async () => {
  await withPlane({}, async (socket) => {
    const { exitCode, stderr, stdout } = await offload(['--socket', socket, 'pause', 'none']);
    assert.is(exitCode, 1);
    assert.is(stdout, '');
    assert.is(
      stderr,
      'offload: container none: there is none of this name\n         `offload ps -a` lists them',
    );
  });
});

const CHECKPOINT = {
  ...{ id: 'warm', createdAt: '2020-01-01T00:00:00.000Z', container: 'web', tenant: 'default' },
  ...{ image: 'redis', pinned: false, pageCount: 2_560, zeroPageCount: 10, inheritedPageCount: 0 },
  ...{ bytes: 5 * 2 ** 20, sharedBytes: 0, hasOrderLog: true },
};

test('pin and unpin ask for just that and show the checkpoint', async () => {
  const answers = {
    'PUT /v1/checkpoints/warm/pin': { ...CHECKPOINT, pinned: true },
    'DELETE /v1/checkpoints/warm/pin': CHECKPOINT,
  };
  await withPlane(answers, async (socket) => {
    const at = ['--socket', socket];
    const [head, row] = (await offload([...at, 'pin', 'warm'])).stdout.split('\n');
    assert.match(head ?? '', /^ID +IMAGE +CONTAINER +CREATED +MEMORY +SIZE +SHARED +PARENT +ORDER +PINNED$/);
    assert.match(row ?? '', /^warm +redis +web +\d+ years ago +10MiB +5MiB +0B +- +recorded +yes$/);
    const unpinned = await offload([...at, '--json', 'unpin', 'warm']);
    assert.equal(JSON.parse(unpinned.stdout), CHECKPOINT);
    const none = await offload([...at, 'pin', 'none']);
    assert.is(none.exitCode, 1);
    assert.is(none.stdout, '');
  });
});

const RESTORE = {
  ...{ id: 'web-1', createdAt: '2020-01-01T00:00:00.000Z', checkpoint: 'warm', container: 'web' },
  ...{ guest: 'guest-a', clone: false, policy: 'ordered', effectivePolicy: 'lazy', phase: 'complete' },
  ...{ firstResponseMs: 12.34, completeMs: 1_234, faultCount: 3, pushedPageCount: 256 },
  ...{ totalPageCount: 512, pagesVerified: true },
};
const OPERATION = {
  ...{ id: 'abcd', kind: 'pull', subject: 'redis', phase: 'failed', progress: { text: 'pulling' } },
  ...{ createdAt: '2020-01-01T00:00:00.000Z', endedAt: '2020-01-01T00:00:05.000Z' },
  error: { code: 'registry_failed', message: 'pull redis: the registry is gone' },
};

test('restores, checkpoints, templates and operations are tables for people, ids for scripts', async () => {
  const answers = {
    'GET /v1/restores?limit=1000': { items: [RESTORE] },
    'GET /v1/checkpoints?limit=1000': { items: [CHECKPOINT] },
    'GET /v1/operations?limit=1000': { items: [OPERATION] },
    'GET /v1/templates?limit=1000': {
      items: [{ name: 'web', image: 'redis', checkpoint: 'template-web', createdAt: CHECKPOINT.createdAt }],
    },
  };
  const rows: [string[], RegExp][] = [
    [
      ['restores'],
      /^web-1 +warm +web +guest-a +\d+ years ago +complete +ordered, as lazy +12\.3 ms +1\.23 s +3 +1MiB +2MiB +yes$/,
    ],
    [['checkpoint', 'ls'], /^warm +redis/],
    [
      ['operations'],
      /^abcd +pull +redis +failed +pull redis: the registry is gone +\d+ years ago +5 seconds$/,
    ],
    [['template', 'ls'], /^web +redis +template-web +\d+ years ago +-$/],
  ];
  await withPlane(answers, async (socket) => {
    const shown = await Promise.all(rows.map(([verb]) => offload(['--socket', socket, ...verb])));
    for (const [index, [, row]] of rows.entries()) {
      const { stdout = '', stderr = '' } = shown[index] ?? {};
      assert.match(stdout.split('\n')[1] ?? stderr, row);
    }
    assert.is((await offload(['--socket', socket, 'restores', '-q'])).stdout, 'web-1');
  });
});

test('run -d creates and starts and prints the id, restore asks for what its flags say', async () => {
  const answers = {
    'POST /v1/containers': CONTAINER,
    'POST /v1/containers/c0ffee00c0de/start': CONTAINER,
    'POST /v1/restores': RESTORE,
  };
  await withPlane(answers, async (socket, asked) => {
    const at = ['--socket', socket];
    const flags = ['-d', '--name', 'web', '-p', '6379', '-p', '8080:80', '-e', 'A=1', '--tenant', 'team-a'];
    const limits = ['-m', '64m', '--cpus', '1.5', '--restart', 'on-failure:3', '--health-tcp', '6379'];
    const run = await offload([...at, 'run', ...flags, ...limits, 'redis', 'redis-server', '-p', '1']);
    assert.is(run.stdout, CONTAINER.id, run.stderr);
    const restore = ['--name', 'again', '--guest', 'guest-b', '--policy', 'ordered', '--hold'];
    assert.is((await offload([...at, 'restore', 'warm', ...restore])).exitCode, 0);
    assert.equal(asked, [
      {
        line: 'POST /v1/containers',
        body: {
          ...{ image: 'redis', name: 'web', tenant: 'team-a', command: ['redis-server', '-p', '1'] },
          env: ['A=1'],
          ports: [
            { containerPort: 6379, hostPort: 0 },
            { containerPort: 80, hostPort: 8080 },
          ],
          ...{ memoryLimitMiB: 64, cpuLimitMillicores: 1_500 },
          restart: { name: 'on-failure', maxRetries: 3 },
          healthCheck: { tcp: { port: 6379 } },
        },
      },
      { line: 'POST /v1/containers/c0ffee00c0de/start', body: undefined },
      {
        line: 'POST /v1/restores',
        body: { checkpoint: 'warm', name: 'again', guest: 'guest-b', policy: 'ordered', hold: true },
      },
    ]);
  });
});

test('logs prints what a container said, as it said it', async () => {
  const answers = { 'GET /v1/containers/web/logs': encodeFrame(STDOUT, 'ready\n').toString('latin1') };
  await withPlane(answers, async (socket) => {
    assert.is((await offload(['--socket', socket, 'logs', 'web'])).stdout, 'ready');
  });
});

test('a failure of the plane in run is exit code 125, as Docker has it', async () => {
  await withPlane({}, async (socket) => {
    const { exitCode, stderr } = await offload(['--socket', socket, 'run', '-d', 'none']);
    assert.is(exitCode, 125);
    assert.match(stderr, /^offload: container none/);
  });
});

test('what is wrong with the flags of run and exec is exit code 125: it is no exit code of a program', async () => {
  const cases = [
    [['run', '--guest', 'a'], /^offload: missing required argument 'image'; see offload --help$/],
    [['run', '-p', '80:http', 'redis'], /\[hostPort:\]containerPort/],
    [['exec', 'web'], /missing required argument 'command'/],
    [['run', '--template', 'web', '--memory', '1g'], /a template has its own memory/],
    [['run', '--template', 'web', 'redis'], /takes no others \(redis\)/],
  ] as const;
  const results = await Promise.all(cases.map(([args]) => offload([...args])));
  for (const [index, [args, message]] of cases.entries()) {
    assert.is(results[index]?.exitCode, 125, args.join(' '));
    assert.match(results[index]?.stderr ?? '', message);
    assert.is(results[index]?.stdout, '');
  }
  const { exitCode, stdout } = await offload(['run', '--help']);
  assert.is(exitCode, 0);
  assert.match(stdout, /--rm/);
});

test('run ends with 127 for a program that is not there, with 126 for one that cannot be run', async () => {
  for (const [code, exitCode] of [
    ['program_not_found', 127],
    ['program_not_executable', 126],
  ] as const) {
    const answers = { 'POST /v1/containers': new Refusal(422, code, 'create container web: crun: none') };
    await withPlane(answers, async (socket) => {
      const done = await offload(['--socket', socket, 'run', '--rm', 'redis', 'fly']);
      assert.is(done.exitCode, exitCode);
      assert.match(done.stderr, /^offload: create container web: crun: none/);
    });
  }
});

test('run -d --rm leaves it to the plane to delete it, and create --rm as well', async () => {
  const answers = {
    'POST /v1/containers': CONTAINER,
    'POST /v1/containers/c0ffee00c0de/start': CONTAINER,
  };
  await withPlane(answers, async (socket, asked) => {
    const [run, create] = [
      await offload(['--socket', socket, 'run', '-d', '--rm', 'redis']),
      await offload(['--socket', socket, 'create', '--rm', 'redis']),
    ];
    assert.equal([run.stdout, create.stdout], [CONTAINER.id, CONTAINER.id]);
    const bodies = asked.filter(({ line }) => line === 'POST /v1/containers').map(({ body }) => body);
    assert.equal(bodies, Array(2).fill({ image: 'redis', autoRemove: true }));
  });
});

test('run --template asks for a start from it', async () => {
  await withPlane({ 'POST /v1/templates/web/run': CONTAINER }, async (socket, asked) => {
    const flags = ['run', '-d', '--rm', '--template', 'web', '--guest', 'guest-b', '-p', '8080:80'];
    const { stdout, stderr } = await offload(['--socket', socket, ...flags]);
    assert.is(stdout, CONTAINER.id, stderr);
    const ports = [{ containerPort: 80, hostPort: 8080 }];
    assert.equal(asked[0]?.body, { guest: 'guest-b', ports, autoRemove: true });
  });
});

test('container prune deletes what has ended, and load sends a tar with its length', async () => {
  const answers = {
    'GET /v1/containers?limit=1000&phase=stopped': { items: [ENDED] },
    [`DELETE /v1/containers/${ENDED.id}`]: '',
    'POST /v1/images/load?name=web': { name: 'web:latest', digest: 'sha256:1' },
  };
  await withPlane(answers, async (socket, asked) => {
    const at = ['--socket', socket];
    assert.is((await offload([...at, 'container', 'prune'])).stdout, 'job');
    assert.is(asked.at(-1)?.line, `DELETE /v1/containers/${ENDED.id}`);
    const file = join(tempDirectory('load'), 'web.tar');
    writeFileSync(file, '{"a": "tar"}');
    const { stdout, stderr } = await offload([...at, 'load', '-i', file, '--name', 'web']);
    assert.is(stdout, 'web:latest sha256:1', stderr);
    assert.equal(asked.at(-1)?.body, { a: 'tar' });
    const none = await offload([...at, 'load', '-i', '/nowhere.tar']);
    assert.match(none.stderr, /^offload: read \/nowhere.tar: there is no such file/);
  });
});

test('colours are for terminals, and not where NO_COLOR is set', async () => {
  const answers = { 'GET /v1/containers?limit=1000': { items: [CONTAINER] } };
  await withPlane(answers, async (socket) => {
    const shown = async (own: Record<string, string>) => {
      const { FORCE_COLOR: _, ...inherited } = process.env;
      const env = { ...inherited, TERM: 'xterm', NODE_COMPILE_CACHE, ...own } as Record<string, string>;
      const pty = spawn(process.execPath, [PROGRAM, '--socket', socket, 'ps'], { env, cols: 200 });
      let text = '';
      pty.onData((data) => {
        text += data;
      });
      await new Promise<void>((resolve) => void pty.onExit(() => resolve()));
      assert.match(text, /CONTAINER ID/);
      return text.includes('\x1b[');
    };
    assert.is(await shown({}), true);
    assert.is(await shown({ NO_COLOR: '1' }), false);
  });
});

test('a verb that was mistyped is answered with the one that was meant', async () => {
  const { exitCode, stderr } = await offload(['restor']);
  assert.is(exitCode, 1);
  assert.match(stderr, /unknown command 'restor'.*Did you mean restore/);
});

test('a plane on TCP is spoken to with its token, which flags and environment name', async () => {
  const directory = tempDirectory('cli');
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, 'the-token\n');
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end(JSON.stringify({ items: [] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const results = await Promise.all([
    offload(['--url', url, 'restores', '--token-file', tokenFile]),
    offload(['restores'], { OFFLOAD_URL: url, OFFLOAD_TOKEN_FILE: tokenFile }),
    offload(['restores', '--url', 'nonsense']),
  ]);
  server.close();
  assert.equal(
    results.map(({ exitCode }) => exitCode),
    [0, 0, 1],
  );
  assert.equal(seen, ['Bearer the-token', 'Bearer the-token']);
  assert.match(results[2]?.stderr ?? '', /--url nonsense: expected/);
});

test('events are lines for people, and JSON for programs', async () => {
  const event = {
    sequence: 7,
    atMs: 0,
    type: 'container',
    event: 'exited',
    guest: 'a',
    name: 'web',
    exitCode: 3,
  };
  const answers = { 'GET /v1/events?since=0&follow=false': `\n${JSON.stringify(event)}\n` };
  await withPlane(answers, async (socket) => {
    const flags = ['--socket', socket, 'events', '--since', '0', '--no-follow'];
    const [lines, json] = await Promise.all([offload(flags), offload([...flags, '--json'])]);
    assert.is(lines.stdout, '1970-01-01T00:00:00.000Z 7 container exited web (a) exitCode=3');
    assert.equal(JSON.parse(json.stdout), event);
  });
});

test('shells are offered verbs, flags and the names of what the plane has', async () => {
  const answers = {
    'GET /v1/containers?limit=1000': { items: [CONTAINER] },
    'GET /v1/guests?limit=1000': { items: [{ name: 'guest-a', phase: 'ready' }] },
    'GET /v1/checkpoints?limit=1000': { items: [{ id: 'warm', image: 'redis' }] },
    'GET /v1/images?limit=1000': { items: [{ names: ['redis'] }] },
  };
  await withPlane(answers, async (socket) => {
    const at = { OFFLOAD_SOCKET: socket };
    const complete = async (...words: string[]) => (await offload(['complete', '--', ...words], at)).stdout;
    assert.match(await complete('chec'), /^checkpoint\t/m);
    assert.match(await complete('restore', '--pol'), /^--policy\t/m);
    assert.match(await complete('pause', ''), /^web\trunning in guest-a$/m);
    assert.match(await complete('restore', '--guest', ''), /^guest-a\tready$/m);
    assert.match(await complete('pin', 'w'), /^warm\tredis$/m);
    const nobody = await offload(['complete', '--', 'pause', ''], { OFFLOAD_SOCKET: `${socket}.none` });
    assert.is(nobody.exitCode, 0);
    assert.is(nobody.stderr, '');
  });
});

test('a bash without any package completes verbs, flags and names when tab is pressed', async () => {
  const answers = {
    'GET /v1/containers?limit=1000': { items: [CONTAINER] },
    'GET /v1/images?limit=1000': { items: [{ names: ['registry:5000/demo/redis:7'] }] },
  };
  await withPlane(answers, async (socket) => {
    const directory = tempDirectory('completion');
    const script = `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`;
    writeFileSync(join(directory, 'offload'), script, { mode: 0o755 });
    const env = { PATH: `${directory}:${process.env.PATH}`, OFFLOAD_SOCKET: socket, PS1: '$ ', TERM: 'dumb' };
    const shell = spawn('/bin/bash', ['--norc', '--noprofile'], { env, cols: 200 });
    let text = '';
    shell.onData((data) => {
      text += data;
    });
    shell.write('source <(offload completion bash) && echo sour""ced\r');
    const see = (what: string) =>
      pollUntil(() => text.includes(what) || undefined, { timeoutMs: TIMEOUT_MS, intervalMs: 20, what });
    await see('sourced');
    for (const [typed, completed] of [
      ['offload vol', 'offload volume '],
      ['offload checkpoint exp', 'offload checkpoint export '],
      ['offload restore --pol', 'offload restore --policy '],
      ['offload pause w', 'offload pause web '],
      ['offload run registry:5', 'offload run registry:5000/demo/redis:7 '],
    ] as const) {
      text = '';
      // Away with the line before.
      shell.write(`\x15${typed}\t`);
      await see(completed);
    }
    shell.kill();
  });
});

test.run();
