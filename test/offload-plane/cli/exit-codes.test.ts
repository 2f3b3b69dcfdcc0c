import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hintOf } from '../../../offload-plane/cli/hints.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { offload } from '../../helpers/offload-program.ts';
import { Refusal, withPlane } from './answering-plane.ts';
import { CONTAINER, ENDED } from './views.ts';

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

test('what can be done about a refusal is told in a second line, where there is something', async () => {
  const refused = [
    ['invalid_state', 'exec in container web: it is paused, not running', /`offload unpause`/],
    ['invalid_state', 'exec in container web: it is stopped, not running', /`offload start`/],
    ['invalid_state', 'delete container web: it is paused, not created or stopped', /`offload rm -f`/],
    ['invalid_state', 'resume container web: it is running, not paused', undefined],
    ['invalid_state', 'page store remove: checkpoint warm is being read', /`offload restores`/],
    ['not_found', 'get image: no image "none"', /`offload pull`/],
    ['not_found', 'template none: there is none of this name', /`offload template ls`/],
    ['not_found', 'plane at /run/plane.sock: connect EACCES /run/plane.sock', /--token-file/],
  ] as const;
  for (const [code, message, hint] of refused) {
    const shown = hintOf(new OffloadError(code, message));
    if (hint) assert.match(shown ?? '', hint, message);
    else assert.is(shown, undefined, message);
  }
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

test('inspect prints what it has found, says what it has not, and fails', async () => {
  const answers = {
    'GET /v1/containers/web': CONTAINER,
    'GET /v1/containers/job': ENDED,
    'GET /v1/guests/a': new Refusal(404, 'not_found', 'guest a: there is none of this name'),
  };
  await withPlane(answers, async (socket) => {
    const at = ['--socket', socket];
    const [some, asJson, none] = await Promise.all([
      offload([...at, 'inspect', 'web', 'none', 'job']),
      offload([...at, '--json', 'inspect', 'none', 'job']),
      offload([...at, 'guest', 'inspect', 'a']),
    ]);
    assert.equal(
      [some, asJson, none].map(({ exitCode }) => exitCode),
      [1, 1, 1],
    );
    assert.equal(JSON.parse(some.stdout), [CONTAINER, ENDED]);
    assert.equal(JSON.parse(asJson.stdout), [ENDED]);
    assert.is(none.stdout, '[]');
    for (const { stderr } of [some, asJson]) {
      assert.match(stderr, /^offload: container none: there is none of this name\n/);
    }
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
    [['run', '--guest', 'a'], /^offload: missing required argument 'image'; see offload run --help$/],
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

test.run();
