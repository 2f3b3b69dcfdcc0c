import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { containerPaths, guestPaths } from '../../../guest-agent/paths.ts';
import { conmonArgs, runConmon } from '../../../guest-agent/runtime/conmon.ts';
import { rejection } from '../../helpers/rejection.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const root = tempDirectory('conmon');

/** A conmon that is the given script; $PIDFILE is where the monitor's pid goes. */
function fake(script: string) {
  const directory = mkdtempSync(join(root, 'case-'));
  const program = join(directory, 'conmon');
  const paths = containerPaths(
    { ...guestPaths, runDirectory: directory, dataDirectory: join(directory, 'data') },
    'web',
  );
  mkdirSync(paths.bundle, { recursive: true });
  writeFileSync(program, `#!/bin/sh\nPIDFILE=${paths.conmonPidFile}\nDIR=${directory}\n${script}\n`);
  chmodSync(program, 0o755);
  return {
    directory,
    paths,
    options: {
      id: 'web',
      paths,
      crunRoot: join(directory, 'crun'),
      exitDirectory: join(directory, 'exits'),
      timeoutMs: 120_000,
      program,
    },
  };
}

const flagOf = (args: string[], flag: string) => args[args.indexOf(flag) + 1];

test('a terminal and an open standard input are asked for by name, and never both', () => {
  const { options } = fake('');
  const flags = ['--terminal', '--stdin'];
  const asked = (terminal: boolean, openStdin: boolean) =>
    conmonArgs({ ...options, terminal, openStdin }).filter((argument) => flags.includes(argument));
  assert.equal(asked(false, false), []);
  assert.equal(asked(false, true), ['--stdin']);
  assert.equal(asked(true, false), ['--terminal']);
  assert.equal(asked(true, true), ['--terminal'], 'a terminal takes input as it is');
});

test('the arguments name the container, its bundle, its log and where its exit code goes', () => {
  const { options, paths } = fake('');
  const args = conmonArgs(options);
  assert.is(flagOf(args, '--cid'), 'web');
  assert.is(flagOf(args, '--bundle'), paths.bundle);
  assert.is(flagOf(args, '--runtime'), '/usr/bin/crun');
  assert.is(flagOf(args, '--exit-dir'), options.exitDirectory);
  assert.is(flagOf(args, '--log-path'), `k8s-file:${paths.log}`);
  assert.is(flagOf(args, '--conmon-pidfile'), paths.conmonPidFile);
  const runtimeArgs = args.filter((_, index) => args[index - 1] === '--runtime-arg');
  assert.equal(runtimeArgs, ['--root', options.crunRoot, '--cgroup-manager', 'cgroupfs']);
  assert.not(args.includes('--restore'));
});

test('a restore names its images and closes connections', () => {
  const args = conmonArgs({ ...fake('').options, restoreFrom: '/images' });
  assert.is(flagOf(args, '--restore'), '/images');
  assert.ok(args.includes('--tcp-close'));
});

test("conmon's verdict is the container's pid, though the monitor lives on", async () => {
  const { options, paths } = fake(`
    setsid sh -c 'echo $$ > "$0"; echo "{\\"data\\": 4242}" >&3; exec sleep 600' "$PIDFILE" &
    exit 0`);
  assert.is(await runConmon(options), 4242);
  const pid = Number(readFileSync(paths.conmonPidFile, 'utf8'));
  process.kill(pid, 0);
  process.kill(-pid, 'SIGKILL');
});

test('the verdict is the first line: a program that has ended at once is told of in a second one', async () => {
  const { options } = fake(`printf '%s\\n' '{"data": 273}' '{"data": 0}' >&3`);
  assert.is(await runConmon(options), 273);
});

test("a failure carries crun's message in one line", async () => {
  const { options } = fake(`printf '%s\\n' '{"data": -1, "message": "crun: open /dev:\\nNo such file"}' >&3`);
  const error = await rejection(runConmon(options));
  assert.is(error.code, 'runtime_failed');
  assert.is(error.message, 'crun create web: crun: open /dev: No such file');
  const { options: restoring } = fake(`printf '%s' '{"data": -3}' >&3`);
  const silent = await rejection(runConmon({ ...restoring, restoreFrom: '/images' }));
  assert.is(silent.message, 'crun restore web: exit code 3');
});

test('a program that is not there, and one that cannot be run, are told apart', async () => {
  const failing = (message: string) =>
    rejection(runConmon(fake(`printf '%s\\n' '${JSON.stringify({ data: -1, message })}' >&3`).options));
  const cases = [
    ['executable file `nosuch` not found in $PATH: No such file or directory', 'program_not_found'],
    ['executable file `/nosuch` not found: No such file or directory', 'program_not_found'],
    [
      'the path `/etc/passwd` exists but it is not executable: Operation not permitted',
      'program_not_executable',
    ],
    ['the path `/tmp` is not a regular file: Operation not permitted', 'program_not_executable'],
    ['mount `/dev/sdb`: Permission denied', 'runtime_failed'],
  ] as const;
  for (const [message, code] of cases) assert.is((await failing(message)).code, code, message);
});

test('a conmon that ends without a verdict, or with nonsense, or is missing, says so', async () => {
  const without = await rejection(runConmon(fake('exit 1').options));
  assert.is(without.message, 'conmon web: ended without a verdict ()');
  const nonsense = await rejection(runConmon(fake('echo what >&3').options));
  assert.is(nonsense.message, 'conmon web: ended without a verdict (what )');
  const { options } = fake('');
  const missing = await rejection(runConmon({ ...options, program: join(root, 'none') }));
  assert.is(missing.code, 'runtime_failed');
});

test('a runtime that hangs behind a monitor that forked away ends at the deadline, and is killed', async () => {
  const { options, paths, directory } = fake(`
    setsid sh -c 'echo $$ > "$0"; sleep 600 & echo $! > "$1"; wait' "$PIDFILE" "$DIR/crun.pid" &
    exit 0`);
  // Monitor and runtime begin before.
  const running = runConmon({ ...options, timeoutMs: 4_000 });
  running.catch(() => undefined);
  const read = (path: string) => (existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0);
  const crunPid = join(directory, 'crun.pid');
  await until('the fake runtime', () => read(crunPid) > 0 && read(paths.conmonPidFile) > 0);
  const error = await rejection(running);
  assert.is(error.code, 'deadline_exceeded');
  assert.is(error.message, 'crun create web: no answer within 4000 ms');
  const isGone = (pid: number) => /^State:\s+Z/m.test(statusOf(pid)) || statusOf(pid) === '';
  await until(
    'monitor and runtime are gone',
    () => isGone(read(crunPid)) && isGone(read(paths.conmonPidFile)),
  );
});

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

test.run();
