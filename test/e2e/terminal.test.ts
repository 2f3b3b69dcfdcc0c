import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type IPty, spawn } from 'node-pty';
import * as assert from 'uvu/assert';
import { pollUntil } from '../../platform/deadline.ts';
import { buildBusyboxImage } from '../helpers/busybox-image.ts';
import { OFFLOAD_PROGRAM } from '../helpers/offload-program.ts';
import { suite } from '../helpers/suite.ts';
import { type TwoGuests, takeTwoGuests } from '../helpers/two-guests.ts';

const run = promisify(execFile);

interface World {
  testbed: TwoGuests;
  directory: string;
}
const test = suite<World>('terminals, execs, logs and copies');

test.before(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'terminal-test-'));
  const layout = await buildBusyboxImage(context.directory);
  context.testbed = await takeTwoGuests();
  const { containers, images } = context.testbed.plane;
  await images.import({ path: layout, name: 'busybox' });
  const common = { guest: 'origin', image: 'busybox' };
  await containers.create({ ...common, name: 'quiet', command: ['-c', 'sleep 100000'] });
  await containers.start('quiet');
});
/** What a failed test has left would keep this process. */
const ptys: IPty[] = [];
test.after(async ({ testbed, directory }) => {
  for (const pty of ptys) pty.kill();
  await testbed?.stop();
  rmSync(directory, { recursive: true, force: true });
});

interface Done {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** The CLI over pipes. */
async function offload(world: World, args: string[], input?: string | Buffer): Promise<Done> {
  const env = { ...process.env, OFFLOAD_SOCKET: world.testbed.planeSocket };
  const child = run(process.execPath, [OFFLOAD_PROGRAM, ...args], { env, maxBuffer: 64 * 1024 * 1024 });
  // A CLI that has failed reads nothing: its exit code says why.
  child.child.stdin?.on('error', () => undefined).end(input);
  try {
    return { ...(await child), exitCode: 0 };
  } catch (error) {
    const { stdout, stderr, code } = error as Done & { code: number };
    return { stdout, stderr, exitCode: code };
  }
}

interface Screen {
  pty: IPty;
  text: string;
  exitCode: number | undefined;
  /** Waits until what has come since the last call matches, and gives it. */
  see(pattern: RegExp): Promise<string>;
  ended(): Promise<number>;
}

/** The CLI in a terminal of its own. */
function terminal(world: World, args: string[], size = { cols: 100, rows: 30 }): Screen {
  const env = { ...process.env, OFFLOAD_SOCKET: world.testbed.planeSocket } as Record<string, string>;
  const pty = spawn(process.execPath, [OFFLOAD_PROGRAM, ...args], { ...size, env });
  ptys.push(pty);
  const timeoutMs = 30_000 * world.testbed.deadlineScale;
  let seen = 0;
  const screen: Screen = {
    pty,
    text: '',
    exitCode: undefined,
    async see(pattern) {
      const look = () => (pattern.test(screen.text.slice(seen)) ? screen.text.slice(seen) : undefined);
      const what = `${args.join(' ')} shows ${pattern}`;
      const found = await pollUntil(look, { timeoutMs, intervalMs: 20, what }).catch((error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify(screen.text.slice(seen))}`);
      });
      seen = screen.text.length;
      return found;
    },
    ended: () =>
      pollUntil(() => screen.exitCode, { timeoutMs, intervalMs: 20, what: `end of ${args.join(' ')}` }),
  };
  pty.onData((data) => {
    screen.text += data;
  });
  pty.onExit(({ exitCode }) => {
    screen.exitCode = exitCode;
  });
  return screen;
}

test('exec passes output, errors and the exit code on, apart', async (world) => {
  const done = await offload(world, ['exec', 'quiet', 'sh', '-c', 'echo out; echo err >&2; exit 42']);
  assert.equal(done, { stdout: 'out\n', stderr: 'err\n', exitCode: 42 });
});

test('exec exits with 127 for no such program, 126 for one that cannot run, 125 for no such container', async (world) => {
  assert.is((await offload(world, ['exec', 'quiet', 'no-such-program'])).exitCode, 127);
  assert.is((await offload(world, ['exec', 'quiet', '/etc/passwd'])).exitCode, 126);
  const none = await offload(world, ['exec', 'no-such-container', 'true']);
  assert.is(none.exitCode, 125);
  assert.match(none.stderr, /container no-such-container: there is none of this name/);
});

test('run --rm and start -a pass output and exit code on; nothing stays of --rm and of what is pruned', async (world) => {
  const runIn = (...args: string[]) => offload(world, ['run', '--rm', ...args]);
  const shell = ['--name', 'once', 'busybox', '-c', 'echo out; echo err >&2; exit 42'];
  assert.equal(await runIn(...shell), { stdout: 'out\n', stderr: 'err\n', exitCode: 42 });
  assert.is((await runIn('--name', 'once', 'busybox', '-c', 'exit 4')).exitCode, 4);
  assert.is((await runIn('--entrypoint', 'no-such-program', 'busybox')).exitCode, 127);
  assert.is((await runIn('--entrypoint', '/etc/passwd', 'busybox')).exitCode, 126);
  const made = await offload(world, ['create', 'busybox', '-c', 'echo started; exit 3']);
  const id = made.stdout.trim();
  assert.equal(await offload(world, ['start', '-a', id]), { stdout: 'started\n', stderr: '', exitCode: 3 });
  assert.is((await offload(world, ['container', 'prune'])).exitCode, 0);
  const detached = await runIn('-d', 'busybox', '-c', 'true');
  assert.match(detached.stdout, /^[0-9a-f]{12}\n$/);
  const timeoutMs = 30_000 * world.testbed.deadlineScale;
  const only = async () => (await world.testbed.plane.containers.list()).length === 1 || undefined;
  await pollUntil(only, { timeoutMs, intervalMs: 50, what: 'only the container quiet is left' });
});

test('exec -i gives its input, to the last byte, and its end', async (world) => {
  const input = Buffer.alloc(300_000, 'offload\n');
  const done = await offload(world, ['exec', '-i', 'quiet', 'sh', '-c', 'md5sum; echo done'], input);
  const { createHash } = await import('node:crypto');
  assert.is(done.stdout, `${createHash('md5').update(input).digest('hex')}  -\ndone\n`);
});

test('exec takes variables, a directory and a user by name', async (world) => {
  const flags = ['-e', 'GREETING=hello', '-w', '/tmp', '-u', 'user'];
  const done = await offload(world, [
    'exec',
    ...flags,
    'quiet',
    'sh',
    '-c',
    'echo $GREETING; pwd; id -u; id -g',
  ]);
  assert.is(done.stdout, 'hello\n/tmp\n1000\n100\n');
});

test('exec -it is a real terminal: its size, a change of size, Ctrl-C, and the exit code', async (world) => {
  const screen = terminal(world, ['exec', '-it', 'quiet', 'sh']);
  await screen.see(/# /);
  screen.pty.write('stty size; tty\r');
  assert.match(await screen.see(/\/dev\/pts\/\d+[\s\S]*# /), /30 100/);
  screen.pty.resize(81, 25);
  screen.pty.write('until [ "$(stty size)" = "25 81" ]; do sleep 0.1; done; echo now-$((25+81))\r');
  await screen.see(/now-106[\s\S]*# /);
  // The shell reads keys as they are until it runs the line: what says so is not in the line's echo.
  screen.pty.write("echo now a''sleep; sleep 1000\r");
  await screen.see(/now asleep/);
  screen.pty.write('\x03');
  await screen.see(/# /);
  screen.pty.write('exit 7\r');
  assert.is(await screen.ended(), 7);
});

test('a full-screen program fills the screen and takes keys', async (world) => {
  const screen = terminal(world, ['exec', '-it', 'quiet', 'vi', '/tmp/written']);
  await screen.see(/~[\s\S]*~/);
  screen.pty.write('ihello from vi');
  await screen.see(/vi/);
  // What follows an escape at once would be taken for a key's code.
  screen.pty.write('\x1b');
  await screen.see(/- \/tmp\/written/);
  screen.pty.write(':wq\r');
  assert.is(await screen.ended(), 0);
  assert.is((await offload(world, ['exec', 'quiet', 'cat', '/tmp/written'])).stdout, 'hello from vi\n');
});

test('the detach keys leave an exec running, and the terminal as it was', async (world) => {
  const shell = spawn('/bin/sh', [], {
    env: { ...process.env, OFFLOAD_SOCKET: world.testbed.planeSocket, PS1: '$ ' } as Record<string, string>,
  });
  let text = '';
  shell.onData((data) => {
    text += data;
  });
  const timeoutMs = 30_000 * world.testbed.deadlineScale;
  const see = async (pattern: RegExp) => {
    const options = { timeoutMs, intervalMs: 20, what: String(pattern) };
    await pollUntil(() => pattern.test(text) || undefined, options).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(text)}`);
    });
  };
  const exec = `${process.execPath} ${OFFLOAD_PROGRAM} exec -it quiet sh -c 'echo up; sleep 5000'`;
  const settings = (name: string) => `stty -g > ${world.directory}/${name}`;
  await see(/\$ $/);
  shell.write(`${settings('before')}; ${exec}; ${settings('after')}; echo is-$((40+2))\r`);
  await see(/up\r/);
  shell.write('\x10\x11');
  await see(/is-42/);
  assert.is(
    readFileSync(join(world.directory, 'after'), 'utf8'),
    readFileSync(join(world.directory, 'before'), 'utf8'),
  );
  shell.kill();
  assert.match((await offload(world, ['exec', 'quiet', 'ps'])).stdout, /sleep 5000/);
});

test('a container with a terminal is attached to, detached from, and attached to again with its backlog', async (world) => {
  const { containers } = world.testbed.plane;
  await containers.create({
    name: 'shell',
    guest: 'origin',
    image: 'busybox',
    terminal: true,
    openStdin: true,
  });
  await containers.start('shell');
  const first = terminal(world, ['attach', 'shell']);
  await first.see(/# /);
  first.pty.write('echo before-$((1+1))\r');
  await first.see(/before-2/);
  first.pty.write('\x10\x11');
  assert.is(await first.ended(), 0);
  assert.is((await containers.inspect('shell')).phase, 'running');
  const second = terminal(world, ['attach', 'shell']);
  await second.see(/before-2/);
  second.pty.write('echo after-$((1+1)); stty size\r');
  await second.see(/after-2\s+30 100/);
  assert.is(second.text.match(/before-2/g)?.length, 1, 'nothing came twice');
  second.pty.write('exit 5\r');
  assert.is(await second.ended(), 5);
});

test('logs are byte for byte what was written, by tail, by time, with timestamps, and followed to the end', async (world) => {
  const { containers } = world.testbed.plane;
  const script = 'for i in 1 2 3; do echo line $i; sleep 1; done; echo oops >&2; printf tail';
  await containers.create({
    name: 'talker',
    guest: 'origin',
    image: 'busybox',
    command: ['-c', script],
  });
  await containers.start('talker');
  const followed = await offload(world, ['logs', '-f', 'talker']);
  assert.equal(followed, { stdout: 'line 1\nline 2\nline 3\ntail', stderr: 'oops\n', exitCode: 0 });
  assert.is((await offload(world, ['logs', '--tail', '2', 'talker'])).stderr, 'oops\n');
  const timed = await offload(world, ['logs', '-t', 'talker']);
  const times = [...timed.stdout.matchAll(/^(\S+Z?) line \d$/gm)].map(([, time]) => time ?? '');
  assert.is(times.length, 3);
  assert.is((await offload(world, ['logs', '--since', times[1]!, 'talker'])).stdout, 'line 2\nline 3\ntail');
  assert.is((await offload(world, ['logs', '--until', times[1]!, 'talker'])).stdout, 'line 1\nline 2\n');
});

test('a directory goes in and comes out as it was, of a running container and of one that has ended', async (world) => {
  const source = join(world.directory, 'tree');
  mkdirSync(join(source, 'deep'), { recursive: true });
  writeFileSync(join(source, 'deep/file'), 'content', { mode: 0o640 });
  symlinkSync('deep/file', join(source, 'link'));
  for (const container of ['quiet', 'talker']) {
    const target = join(world.directory, `back-${container}`);
    assert.is((await offload(world, ['cp', source, `${container}:/tmp/copied`])).stderr, '');
    assert.is((await offload(world, ['cp', `${container}:/tmp/copied`, target])).stderr, '');
    await run('diff', ['-r', '--no-dereference', source, target]);
  }
  const list = await offload(world, ['exec', 'quiet', 'stat', '-c', '%a %u', '/tmp/copied/deep/file']);
  assert.is(list.stdout, '640 0\n');
});

test('a link of the container leads nowhere but into the container', async (world) => {
  await offload(world, ['exec', 'quiet', 'ln', '-s', '/etc', '/tmp/out']);
  await offload(world, ['exec', 'quiet', 'ln', '-s', '/../../../../opt/offload', '/tmp/up']);
  const passwd = join(world.directory, 'passwd');
  await offload(world, ['cp', 'quiet:/tmp/out/passwd', passwd]);
  assert.match(readFileSync(passwd, 'utf8'), /user:x:1000/, "the container's own");
  const escaped = await offload(world, ['cp', 'quiet:/tmp/up/agent.mjs', join(world.directory, 'agent')]);
  assert.match(escaped.stderr, /No such file or directory/);
  writeFileSync(join(world.directory, 'planted'), 'x');
  assert.is.not(
    (await offload(world, ['cp', join(world.directory, 'planted'), 'quiet:/tmp/up/'])).exitCode,
    0,
  );
});

test('agent-call speaks to the agent by hand, through the plane or past it', async (world) => {
  const through = await offload(world, ['agent-call', 'GET', '/v1/health', '--guest', 'origin']);
  assert.match(through.stdout, /"bootId":"/);
  const { vsockPath } = world.testbed.guests[0]!;
  const past = await offload(world, ['agent-call', 'GET', '/v1/containers', '--vsock', vsockPath]);
  assert.match(past.stdout, /"phase":"running"/);
  assert.match(
    (await offload(world, ['agent-call', 'GET', '/v1/nonsense', '--guest', 'origin'])).stderr,
    /status 404/,
  );
});

const OVER_HTTP2 = ['--http2-prior-knowledge', '--max-time', '60'];

test('curl speaks to an agent over the socket that agent-socket offers', async (world) => {
  const socket = join(world.directory, 'agent.sock');
  const relay = terminal(world, ['agent-socket', '--guest', 'origin', socket]);
  const ask = () =>
    run('curl', ['-sS', '--noproxy', '*', ...OVER_HTTP2, '--unix-socket', socket, 'http://agent/v1/health']);
  const timeoutMs = 30_000 * world.testbed.deadlineScale;
  const { stdout } = await pollUntil(ask, { timeoutMs, intervalMs: 100, what: 'curl is answered' });
  assert.match(stdout, /"bootId":"/);
  relay.pty.write('\x03');
  await relay.ended();
});

/** OFFLOAD_BULK_MIB=1024 takes a whole GiB; the default keeps the suite short under emulation. */
const BULK_MIB = Number(process.env.OFFLOAD_BULK_MIB ?? 64);

test('output that nobody reads holds the program back, and neither plane nor agent grows', async (world) => {
  const { plane } = world.testbed;
  const agentBytes = async () => {
    const { stdout } = await offload(world, ['agent-call', 'GET', '/v1/health', '--guest', 'origin']);
    return JSON.parse(stdout).memoryAvailableBytes as number;
  };
  const planeBytes = async () =>
    Number(/^process_resident_memory_bytes (\d+)/m.exec(await plane.metrics())?.[1]);
  const exec = await plane.stdio.createExec('quiet', {
    command: ['dd', 'if=/dev/zero', 'bs=1M', `count=${BULK_MIB}`],
  });
  const channels = await plane.stdio.attachExec(exec.id);
  const before = { plane: await planeBytes(), agent: await agentBytes() };
  const [resume, hold] = [Promise.withResolvers<void>(), 1024 * 1024];
  let bytes = 0;
  const read = channels.read((stream, data) => {
    if (stream === 1) bytes += data.length;
    return bytes > hold ? resume.promise : undefined;
  });
  await pollUntil(() => bytes > hold || undefined, {
    timeoutMs: 300_000,
    intervalMs: 50,
    what: 'a mebibyte',
  });
  for (let round = 0; round < 10; round += 1) await plane.containers.stats('quiet');
  assert.ok((await plane.stdio.inspectExec(exec.id)).running, 'it waits');
  assert.ok((await planeBytes()) - before.plane < 48 * 1024 * 1024, 'the plane holds little');
  assert.ok(before.agent - (await agentBytes()) < 48 * 1024 * 1024, 'the guest holds little');
  resume.resolve();
  assert.equal(await read, { exitCode: 0 });
  assert.is(bytes, BULK_MIB * 1024 * 1024);
});

test.run();
