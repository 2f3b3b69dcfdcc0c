import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Checkpoints } from '../../../offload-plane/checkpoints/checkpoints.ts';
import type { Containers } from '../../../offload-plane/containers/containers.ts';
import type { Guests } from '../../../offload-plane/guests/guests.ts';
import { type Answers, openAnswers } from '../../../offload-plane/operations/answers.ts';
import type { Restores } from '../../../offload-plane/restores/restores.ts';
import type { Database } from '../../../offload-plane/state/database.ts';
import { createTemplates, type Templates } from '../../../offload-plane/templates/templates.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { fakeGuest, guestsOf } from '../../helpers/fake-guest.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { rejection } from '../../helpers/rejection.ts';
import { openState } from '../../helpers/state.ts';

interface World {
  database: Database;
  answers: Answers;
  /** What the parts of the plane were asked for, in order. */
  asked: string[];
  /** The first call that begins so is refused. */
  failing: string | undefined;
  templates: Templates;
  again(): Templates;
}
const test = suite<World>('templates');
const REQUEST = { name: 'cache', image: 'redis', guest: 'guest-a' };

test.before.each((context) => {
  const { database } = openState();
  const answers = openAnswers(database, () => 0);
  Object.assign(context, { asked: [], failing: undefined, database, answers });
  context.again = () => createTemplates({ ...partsOf(context), database: context.database });
  context.templates = context.again();
});
test.after.each(({ database }) => database.close());

/** The plane's parts, of which only the order of calls is of interest here. */
function partsOf(world: World) {
  const note = async (call: string) => {
    world.asked.push(call);
    if (world.failing === undefined || !call.startsWith(world.failing)) return;
    world.failing = undefined;
    throw new OffloadError('runtime_failed', `${call} failed`);
  };
  return {
    answers: world.answers,
    guests: guestsOf(fakeGuest()) as Guests,
    logger: silentLogger,
    wallMs: () => 0,
    containers: {
      create: ({ name }: { name: string }) => note(`create ${name}`),
      start: (name: string) => note(`start ${name}`),
      remove: (name: string) => note(`remove ${name}`),
      get: (name: string) => ({ name, id: `id-of-${name}`, forwards: [] }),
      place: ({ name = 'made-up' }) => ({ name, guest: 'guest-a' }),
    } as unknown as Containers,
    checkpoints: {
      list: async () => [{ id: 'others' }],
      create: ({ container, id, after }: Record<string, string>) =>
        note(`checkpoint ${container} ${id} ${after}`),
      contents: async () => ({ workingSet: { pageCount: 7 } }),
      pin: (id: string) => note(`pin ${id}`),
      unpin: (id: string) => note(`unpin ${id}`),
      remove: (id: string) => note(`forget ${id}`),
    } as unknown as Checkpoints,
    restores: {
      create: async ({ checkpoint, name, clone }: Record<string, unknown>) => {
        await note(`restore ${checkpoint} as ${name}${clone ? ' cloned' : ''}`);
        const containerPath = `/v1/containers/id-of-${name}`;
        world.answers.noteResult({ path: '/v1/restores/r1', containerPath, status: 201 });
        return { id: 'r1' };
      },
      completion: (id: string) => note(`complete ${id}`),
    } as unknown as Restores,
  };
}

test('a template is checkpointed, recorded by a start from it, and pinned last', async ({
  templates,
  asked,
}) => {
  const template = await templates.create(REQUEST);
  assert.equal(asked, [
    'create template-cache-build',
    'start template-cache-build',
    'checkpoint template-cache-build template-cache stop',
    'remove template-cache-build',
    'restore template-cache as template-cache-build cloned',
    'complete r1',
    'remove template-cache-build',
    'pin template-cache',
  ]);
  assert.is(template.workingSetPageCount, 7);
  assert.equal(templates.list(), [template]);
  assert.is((await rejection(templates.create(REQUEST))).code, 'already_exists');
});

test('whatever fails on the way, nothing of it is kept, and the name is free again', async (context) => {
  for (const failing of ['start', 'checkpoint', 'restore', 'complete', 'pin']) {
    context.failing = failing;
    const error = await rejection(context.templates.create(REQUEST));
    assert.match(error.message, new RegExp(`^${failing} .* failed$`));
    assert.equal(context.asked.slice(-3), [
      'remove template-cache-build',
      'unpin template-cache',
      'forget template-cache',
    ]);
    assert.equal(context.templates.list(), []);
  }
  await context.templates.create(REQUEST);
});

test('what a plane left that ended while it built one goes at the next start, and only that', async (context) => {
  await context.templates.create(REQUEST);
  context.failing = 'start';
  const { asked } = context;
  const doomed = partsOf(context);
  const plane = createTemplates({
    ...doomed,
    database: context.database,
    containers: {
      ...doomed.containers,
      remove: async () => Promise.reject(new OffloadError('guest_lost', 'gone')),
    },
  } as never);
  await rejection(plane.create({ ...REQUEST, name: 'half' }));
  asked.length = 0;
  await context.again().removeLeftovers();
  assert.equal(asked, ['remove template-half-build', 'unpin template-half', 'forget template-half']);
  asked.length = 0;
  await context.again().removeLeftovers();
  assert.equal(asked, []);
  assert.equal(
    context
      .again()
      .list()
      .map(({ name }) => name),
    ['cache'],
  );
});

test('a request that was cut off before its answer gets what it had asked for: the template, or the container', async ({
  templates,
  answers,
}) => {
  const resultOf = async (key: string, work: () => Promise<unknown>) => {
    answers.begin(key, 'print');
    // The fakes have no view of a container: as if the plane ended right after the effect.
    await answers.within(key, work).catch(() => undefined);
    return answers.look(key, 'print');
  };
  assert.equal(await resultOf('build', () => templates.create(REQUEST)), {
    phase: 'cut_off',
    result: { path: '/v1/templates/cache', status: 201 },
  });
  assert.equal(await resultOf('run', () => templates.run('cache', { name: 'web' })), {
    phase: 'cut_off',
    result: { path: '/v1/containers/id-of-web', status: 201 },
  });
});

test('a name that is too long, or whose checkpoint is there already, is refused before anything is made', async ({
  templates,
  asked,
}) => {
  assert.is(
    (await rejection(templates.create({ ...REQUEST, name: 'x'.repeat(49) }))).code,
    'invalid_request',
  );
  assert.equal(asked, []);
});

test('a template whose checkpoint is still needed stays as it was, pinned', async (context) => {
  const { templates, asked } = context;
  await templates.create(REQUEST);
  context.failing = 'forget';
  asked.length = 0;
  await rejection(templates.remove('cache'));
  assert.equal(asked, ['unpin template-cache', 'forget template-cache', 'pin template-cache']);
  assert.is(templates.get('cache').name, 'cache');
});

test('a template is removed with its checkpoint, and one that is not there is not found', async ({
  templates,
  asked,
}) => {
  await templates.create(REQUEST);
  asked.length = 0;
  await templates.remove('cache');
  assert.equal(asked, ['unpin template-cache', 'forget template-cache']);
  assert.is((await rejection(templates.remove('cache'))).code, 'not_found');
});

test.run();
