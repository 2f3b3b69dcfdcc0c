import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import * as assert from 'uvu/assert';
import { type App, createHttpApi } from '../../../offload-plane/http-api/server.ts';
import { createPlane, type Plane } from '../../../offload-plane/plane.ts';
import {
  DESK,
  launchBrowser,
  onLivePage,
  PHONE,
  untilLive,
  type Visit,
  visit,
} from '../../helpers/browser.ts';
import { type FakeMachine, startFakeMachine } from '../../helpers/fake-machine.ts';
import { PATIENT_TIMEOUTS } from '../../helpers/patient-timeouts.ts';
import { placeImage } from '../../helpers/placed-image.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { suite } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';
import { until } from '../../helpers/until.ts';

const TOKEN = 'a token/with+signs=';
const test = suite<{ browser: Browser; plane: Plane; app: App; machine: FakeMachine; url: string }>(
  'the dashboard in a browser',
);

test.before(async (context) => {
  const storeDirectory = tempDirectory('dashboard');
  placeImage(join(storeDirectory, 'images'));
  context.machine = await startFakeMachine('guest-a');
  context.plane = await createPlane(
    { storeDirectory, hostAddress: '127.0.0.1', timeouts: PATIENT_TIMEOUTS },
    { logger: silentLogger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  context.app = await createHttpApi(context.plane, silentLogger, { token: TOKEN });
  context.url = await context.app.listen({ host: '127.0.0.1', port: 0 });
  context.browser = await launchBrowser();
});
test.after(async ({ browser, app, plane, machine }) => {
  await browser.close();
  await app.close();
  await plane.close();
  machine.close();
});

const withToken = (url: string) => `${url}/#token=${encodeURIComponent(TOKEN)}`;

const onPage = (
  { browser, url }: { browser: Browser; url: string },
  options: Parameters<typeof visit>[2] & {},
  body: (visited: Visit) => Promise<void>,
) => onLivePage(browser, withToken(url), options, body);

test('an empty plane says what could be there, to everyone', async (context) => {
  await onPage(context, {}, async ({ page, audit }) => {
    for (const text of ['No guest is registered.', 'None yet.']) {
      await page.getByText(text).first().waitFor();
    }
    assert.equal(await audit(), []);
  });
});

test('a token that is missing or wrong is asked for; one from the address leaves it at once', async ({
  browser,
  url,
}) => {
  const { page, close, audit } = await visit(browser, url);
  try {
    const field = page.getByLabel('Token');
    await field.waitFor();
    assert.not.ok(await page.getByRole('alert').isVisible());
    assert.equal(await audit(), []);
    await field.fill('wrong');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByText('The plane refused the token').waitFor();
    await field.fill(TOKEN);
    await page.keyboard.press('Enter');
    await untilLive(page);
    await page.reload();
    await untilLive(page);
  } finally {
    await close();
  }
  const other = await visit(browser, withToken(url));
  await untilLive(other.page);
  assert.is(other.page.url(), `${url}/`);
  await other.close();
});

test('guests with their load and containers appear by themselves, and change with what is done', async (context) => {
  const { plane, machine } = context;
  await onPage(context, {}, async ({ page }) => {
    await plane.guests.register(machine.registration);
    await page.getByRole('heading', { name: 'guest-a' }).waitFor();
    await page.getByRole('meter', { name: /^memory: / }).waitFor();
    await plane.containers.create({ name: 'web', guest: 'guest-a', image: 'redis' });
    const row = page.locator('[data-container=web]');
    await row.getByText('created').waitFor();
    await row.getByRole('button', { name: 'Start web' }).click();
    await row.getByText('running').waitFor();
    await row.getByRole('button', { name: 'Pause web' }).click();
    await row.getByText('paused').waitFor();
    assert.is(plane.containers.get('web').phase, 'paused');
    // Looked for before it is there: it goes after a while.
    const told = page.getByText('Resume web: done').waitFor();
    await row.getByRole('button', { name: 'Resume web' }).click();
    await row.getByText('running').waitFor();
    await told;
  });
});

test('a container is checkpointed by a dialog; the checkpoint is pinned and unpinned', async (context) => {
  await onPage(context, {}, async ({ page }) => {
    await page.getByRole('button', { name: 'Checkpoint of web' }).click();
    await page.getByLabel('Name').fill('warm');
    await page.getByRole('dialog').getByRole('button', { name: 'Checkpoint', exact: true }).click();
    const row = page.locator('[data-checkpoint=warm]');
    await row.getByText('not yet').waitFor();
    await row.getByRole('button', { name: 'Pin warm' }).click();
    await row.getByText('pinned').waitFor();
    await row.getByRole('button', { name: 'Unpin warm' }).click();
    await until('unpinned', async () => (await context.plane.checkpoints.inspect('warm')).pinned === false);
  });
});

test('what a plane refuses is said in the dialog, which stays as it was, also by one that is slow to answer', async (context) => {
  await onPage(context, {}, async ({ page, audit }) => {
    await page.route(/\/v1\/operations\/[^?]/, async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 1_600));
      await route.continue();
    });
    await page.getByRole('button', { name: 'Checkpoint of web' }).click();
    await page.getByLabel('Name').fill('warm');
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Checkpoint', exact: true }).click();
    await dialog.getByRole('alert').getByText('checkpoint warm is there already').waitFor();
    assert.is(await page.getByLabel('Name').inputValue(), 'warm');
    assert.equal(await audit(), []);
  });
});

test('what the plane refuses a button is said until it is dismissed', async ({ browser, plane, url }) => {
  const { page, close, complaints } = await visit(browser, withToken(url));
  try {
    await untilLive(page);
    // It does not hear of the change, so it asks for what cannot be.
    await page.route(/\/v1\/containers\?/, (route) => route.abort());
    await plane.containers.pause('web');
    await page.getByRole('button', { name: 'Pause web' }).click();
    const notice = page.locator('.notice.failed');
    await notice.getByText('it is paused').waitFor();
    await notice.getByRole('button').click();
    await notice.waitFor({ state: 'detached' });
    assert.ok(complaints.some((text) => text.includes('409')));
  } finally {
    await plane.containers.resume('web');
    await close();
  }
});

test('what is under way is shown with its progress, and can be cancelled', async (context) => {
  const { operations } = context.plane;
  const work = Promise.withResolvers<void>();
  const { operation } = operations.start({ kind: 'pull', subject: 'large' }, ({ signal, progress }) => {
    progress('layer 3 of 4', 0.75);
    signal.addEventListener('abort', () => work.reject(new Error('aborted')));
    return work.promise;
  });
  await onPage(context, {}, async ({ page, audit }) => {
    const shown = page.locator(`[data-operation="${operation.id}"]`);
    await shown.getByText('layer 3 of 4, 75 %').waitFor();
    assert.is(await shown.getByRole('progressbar').getAttribute('value'), '0.75');
    assert.equal(await audit(), []);
    await page.getByRole('button', { name: 'Cancel pull large' }).click();
    await shown.waitFor({ state: 'detached' });
    assert.is(operations.get(operation.id).phase, 'cancelled');
  });
});

test('a guest is cordoned, uncordoned and drained, and what stays in it is said', async (context) => {
  const { plane } = context;
  await onPage(context, {}, async ({ page }) => {
    const guest = page.locator('[data-guest=guest-a]');
    await guest.getByRole('button', { name: 'Cordon guest-a' }).click();
    await guest.locator('.phase', { hasText: 'cordoned' }).waitFor();
    assert.ok(plane.guests.get('guest-a').cordoned);
    await guest.getByRole('button', { name: 'Uncordon guest-a' }).click();
    await guest.getByRole('button', { name: 'Cordon guest-a' }).waitFor();
    assert.not.ok(plane.guests.get('guest-a').cordoned);
    await guest.getByRole('button', { name: 'Drain guest-a' }).click();
    const told = page.getByText(/Drain guest-a: 0 moved; web is left \(.+\)/).waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Drain', exact: true }).click();
    await told;
    assert.ok(plane.guests.get('guest-a').cordoned);
    await guest.getByRole('button', { name: 'Uncordon guest-a' }).click();
    await guest.getByRole('button', { name: 'Cordon guest-a' }).waitFor();
  });
});

test('everything can be reached and done by keyboard, and one sees where one is', async (context) => {
  await onPage(context, {}, async ({ page }) => {
    const focused = () =>
      page.evaluate(`(() => {
        const { activeElement: at } = document;
        const { outlineStyle, outlineWidth } = getComputedStyle(at);
        const name = at.getAttribute('aria-label') ?? at.textContent.trim();
        if (at === document.body) return ['the end of the page', true];
        return [name, outlineStyle !== 'none' && outlineWidth !== '0px'];
      })()`) as Promise<[string, boolean]>;
    await page.getByRole('button', { name: 'Remove of web' }).waitFor();
    const walked: string[] = [];
    for (let step = 0; step < 80; step += 1) {
      await page.keyboard.press('Tab');
      const [name, isSeen] = await focused();
      if (walked.includes(name)) break;
      assert.ok(isSeen, `${name} is not seen to have the focus`);
      walked.push(name);
    }
    assert.equal(walked.slice(0, 5), ['Skip to content', 'guests', 'containers', 'restores', 'checkpoints']);
    const buttons = await page.getByRole('button').all();
    for (const button of buttons) {
      const name = (await button.getAttribute('aria-label')) ?? (await button.innerText());
      assert.ok(walked.includes(name), `${name} is not reached; walked ${walked.join(', ')}`);
    }
    await page.getByRole('button', { name: 'Checkpoint of web' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    for (let step = 0; step < 12; step += 1) {
      await page.keyboard.press('Tab');
      // Past its end the focus goes to the browser itself, never to what the dialog covers.
      assert.ok(
        await page.evaluate(
          'document.activeElement.closest("dialog") !== null || document.activeElement === document.body',
        ),
      );
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.equal(await focused(), ['Checkpoint of web', true]);
  });
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of [
    ['phone', PHONE],
    ['desk', DESK],
  ] as const) {
    test(`on a ${device} in ${colorScheme} colours all has names and contrast, and nothing is cut off`, async (context) => {
      await onPage(context, { viewport, colorScheme }, async ({ page, audit }) => {
        await page.getByRole('meter', { name: /^memory: / }).waitFor();
        assert.equal(await audit(), []);
        for (const name of ['Checkpoint of web', 'Remove of web', 'Restore warm', 'Drain guest-a']) {
          await page.getByRole('button', { name }).click();
          await page.getByRole('dialog').waitFor();
          assert.equal(await audit(), [], name);
          await page.keyboard.press('Escape');
          await page.getByRole('dialog').waitFor({ state: 'detached' });
        }
      });
    });
  }
}

test('whatever the width of the window, nothing is cut off', async (context) => {
  await onPage(context, {}, async ({ page, audit }) => {
    await page.getByRole('meter', { name: /^memory: / }).waitFor();
    for (const width of [420, 640, 770, 900, 1_081, 1_200]) {
      await page.setViewportSize({ width, height: 700 });
      assert.equal(await audit(), [], `at ${width} pixels`);
    }
  });
});

test('the colours are the system’s until the reader chooses, and the choice stays', async (context) => {
  await onPage(context, { colorScheme: 'dark' }, async ({ page }) => {
    const ground = () => page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    const dark = await ground();
    await page.getByRole('button', { name: 'Use light colours' }).click();
    const light = await ground();
    assert.is.not(light, dark);
    await page.reload();
    await untilLive(page);
    assert.is(await ground(), light);
    await page.emulateMedia({ colorScheme: 'light' });
    await page.getByRole('button', { name: 'Use dark colours' }).click();
    assert.is(await ground(), dark);
  });
});

test('a plane that does not answer is said to, what was known stays, and the page comes back by itself', async ({
  browser,
  url,
}) => {
  const { page, close } = await visit(browser, withToken(url));
  try {
    await untilLive(page);
    await page.locator('[data-container=web]').waitFor();
    await page.context().setOffline(true);
    await page.getByText('no answer from the plane').waitFor();
    assert.ok(await page.locator('[data-container=web]').isVisible());
    await page.context().setOffline(false);
    await untilLive(page);
  } finally {
    await close();
  }
});

test('a container that is removed is asked about first, and goes', async (context) => {
  await onPage(context, {}, async ({ page }) => {
    await page.getByRole('button', { name: 'Remove of web' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.is(context.plane.containers.list().length, 1);
    await page.getByRole('button', { name: 'Remove of web' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
    await page.locator('[data-container=web]').waitFor({ state: 'detached' });
    assert.equal(context.plane.containers.list(), []);
  });
});

test('a guest is forgotten when that is confirmed', async (context) => {
  await onPage(context, {}, async ({ page }) => {
    await page.getByRole('button', { name: 'Forget guest-a' }).click();
    await page.getByText('It has no containers.').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Forget', exact: true }).click();
    await page.getByText('No guest is registered.').waitFor();
    assert.equal(context.plane.guests.list(), []);
  });
});

test.run();
