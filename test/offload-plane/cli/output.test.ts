import { execa } from 'execa';
import { spawn } from 'node-pty';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeFrame, STDOUT } from '../../../interconnect/stdio-frames.ts';
import {
  NODE_COMPILE_CACHE,
  OFFLOAD_PROGRAM,
  OFFLOAD_TIMEOUT_MS,
  offload,
} from '../../helpers/offload-program.ts';
import { until } from '../../helpers/until.ts';
import { withPlane } from './answering-plane.ts';
import { CHECKPOINT, CONTAINER, ENDED, OPERATION, RESTORE } from './views.ts';

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

test('an empty list prints nothing as a table and an empty list as JSON', async () => {
  await withPlane({ 'GET /v1/checkpoints?limit=1000': { items: [] } }, async (socket) => {
    assert.is((await offload(['--socket', socket, 'checkpoints'])).stdout, '');
    assert.is((await offload(['--socket', socket, '--json', 'checkpoints'])).stdout, '[]');
  });
});

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

test('logs prints what a container said, as it said it', async () => {
  const answers = { 'GET /v1/containers/web/logs': encodeFrame(STDOUT, 'ready\n').toString('latin1') };
  await withPlane(answers, async (socket) => {
    assert.is((await offload(['--socket', socket, 'logs', 'web'])).stdout, 'ready');
  });
});

test('who closes the pipe early, as head does, hears nothing more; what cannot be written is told', async () => {
  const frame = encodeFrame(STDOUT, 'a line\n'.repeat(4_000)).toString('latin1');
  const answers = { 'GET /v1/containers/web/logs': frame.repeat(100) };
  await withPlane(answers, async (socket) => {
    const logs = [process.execPath, OFFLOAD_PROGRAM, '--socket', socket, 'logs', 'web'];
    const into = (redirection: string) =>
      execa('bash', ['-c', `"$@" ${redirection}; exit \${PIPESTATUS[0]}`, 'bash', ...logs], {
        ...{ reject: false, timeout: OFFLOAD_TIMEOUT_MS },
        env: { FORCE_COLOR: '0', NODE_COMPILE_CACHE },
      });
    const early = await into('| head -n 1');
    assert.equal([early.stdout, early.stderr, early.exitCode], ['a line', '', 141]);
    const full = await into('> /dev/full');
    assert.match(full.stderr, /^offload: write to standard output: ENOSPC/);
    assert.is(full.exitCode, 1);
  });
});

test('port tells where all ports are, or one', async () => {
  await withPlane({ 'GET /v1/containers/web': CONTAINER }, async (socket) => {
    const port = (...args: string[]) => offload(['--socket', socket, 'port', 'web', ...args]);
    const [all, one, none] = await Promise.all([port(), port('6379/tcp'), port('80')]);
    assert.is(all.stdout, '127.0.0.1:40001->6379/tcp');
    assert.is(one.stdout, '127.0.0.1:40001');
    assert.is(none.exitCode, 1);
    assert.match(none.stderr, /^offload: port of container web: 80 is not published/);
  });
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
  const late = { ...event, sequence: 8, atMs: Date.parse('2026-01-01T00:00:01Z') };
  const answers = {
    'GET /v1/events?since=0&follow=false': `\n${JSON.stringify(event)}\n`,
    'GET /v1/events?since=0&follow=true': `${JSON.stringify(event)}\n${JSON.stringify(late)}\n`,
  };
  await withPlane(answers, async (socket) => {
    const flags = ['--socket', socket, 'events', '--since', '0', '--no-follow'];
    const [lines, json] = await Promise.all([offload(flags), offload([...flags, '--json'])]);
    assert.is(lines.stdout, '1970-01-01T00:00:00.000Z 7 container exited web (a) exitCode=3');
    assert.equal(JSON.parse(json.stdout), event);
    const since = await offload(['--socket', socket, 'events', '-f', '--since', '2026-01-01T00:00:01Z']);
    assert.is(since.stdout, '2026-01-01T00:00:01.000Z 8 container exited web (a) exitCode=3');
  });
});

/** Says that the program is through, and stays: what is on its way from a terminal without a process may be lost. */
const TO_THE_END = '"$@"; printf "<%s>" end; read -r _';

/** What it shows where somebody looks. */
async function onTerminal(args: string[], env: NodeJS.ProcessEnv): Promise<string> {
  const own = { ...env, NODE_COMPILE_CACHE } as Record<string, string>;
  const program = [process.execPath, OFFLOAD_PROGRAM, ...args];
  const pty = spawn('/bin/sh', ['-c', TO_THE_END, 'sh', ...program], { env: own, cols: 200 });
  let text = '';
  pty.onData((data) => {
    text += data;
  });
  const ended = new Promise<void>((resolve) => void pty.onExit(() => resolve()));
  await until('its end', () => text.includes('<end>'));
  pty.kill('SIGKILL');
  await ended;
  return text;
}

test('a terminal is not given a tar', async () => {
  for (const verb of [
    ['cp', 'web:/etc', '-'],
    ['checkpoint', 'export', 'warm'],
  ]) {
    assert.match(
      await onTerminal(['--socket', '/none', ...verb], process.env),
      /a terminal cannot take a tar/,
    );
  }
});

test('colours are for terminals, and not where NO_COLOR is set', async () => {
  const answers = { 'GET /v1/containers?limit=1000': { items: [CONTAINER] } };
  await withPlane(answers, async (socket) => {
    const shown = async (own: Record<string, string>) => {
      // Nothing of who runs this: CI, NODE_DISABLE_COLORS and others decide about colours too.
      const { PATH, HOME } = process.env;
      const text = await onTerminal(['--socket', socket, 'ps'], { PATH, HOME, TERM: 'xterm', ...own });
      assert.match(text, /CONTAINER ID/);
      return text.includes('\x1b[');
    };
    assert.is(await shown({}), true);
    assert.is(await shown({ NO_COLOR: '1' }), false);
  });
});

test.run();
