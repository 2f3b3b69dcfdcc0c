import * as assert from 'uvu/assert';
import { onLivePage, PHONE, untilLive, type Visit, visit } from '../helpers/browser.ts';
import { type Scene, startScene } from '../helpers/dashboard-scene.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../helpers/otlp-receiver.ts';
import { suite } from '../helpers/suite.ts';
import { until } from '../helpers/until.ts';

const ENDPOINT = 'OTEL_EXPORTER_OTLP_ENDPOINT';
const test = suite<{ scene: Scene; receiver: OtlpReceiver }>('the dashboard of real guests');

test.before(async (context) => {
  context.receiver = await startOtlpReceiver();
  // The plane is a child and sends its traces there.
  process.env[ENDPOINT] = context.receiver.endpoint;
  context.scene = await startScene(() => {});
});
test.after(async ({ scene, receiver }) => {
  delete process.env[ENDPOINT];
  await scene?.stop();
  receiver?.close();
});

const onPage = ({ browser, url }: Scene, body: (visited: Visit) => Promise<void>) =>
  onLivePage(browser, url, {}, body);

test('guests show their load, and what waits for processors, memory and disks', async ({ scene }) => {
  await onPage(scene, async ({ page }) => {
    for (const name of ['origin', 'target']) {
      const guest = page.locator('.guest', { hasText: name });
      await guest.getByRole('meter', { name: /^CPU: \d+ %$/ }).waitFor();
      await guest.getByText('waits for').waitFor();
      await guest.getByRole('img', { name: /^memory, last minutes: / }).waitFor();
    }
  });
});

test('the output of a container flows as it comes', async ({ scene }) => {
  await onPage(scene, async ({ page }) => {
    await page.getByRole('button', { name: 'Logs of chatter' }).click();
    const log = page.getByRole('log');
    const lastLine = async () => Number(/line (\d+)\s*$/.exec(await log.innerText())?.[1] ?? -1);
    await until('a line', async () => (await lastLine()) >= 0);
    const first = await lastLine();
    await until('further lines', async () => (await lastLine()) > first + 3);
  });
});

test('a shell in the browser takes what is typed, shows the answer, and tells its end', async ({ scene }) => {
  await onPage(scene, async ({ page }) => {
    await page.getByRole('button', { name: 'Terminal of chatter' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Open' }).click();
    await dialog.getByText('/bin/sh: connected').waitFor();
    await page.keyboard.type('echo "the answer is $((6 * 7))"; stty size\n');
    await dialog.locator('.xterm').getByText('the answer is 42').first().waitFor();
    await page.keyboard.type('exit 3\n');
    await dialog.getByText('ended with exit code 3').waitFor();
  });
});

test('a restore asked for in the page is drawn while its pages come, with its first response marked', async ({
  scene,
}) => {
  await scene.restore('recording', 'lazy');
  await scene.testbed.plane.containers.remove('recording', { force: true });
  await onPage(scene, async ({ page, audit }) => {
    await page.getByRole('button', { name: 'Restore cache-warm' }).click();
    await page.getByRole('combobox', { name: 'Guest' }).selectOption('target');
    await page.getByLabel('Name of the container').fill('in-order');
    await page.getByRole('radio', { name: /^ordered/ }).check();
    await page.getByRole('radio', { name: /^as a clone/ }).check();
    await page.getByRole('dialog').getByRole('button', { name: 'Restore', exact: true }).click();
    await page.locator('[data-container=in-order]').getByText('running').waitFor();
    const restores = await scene.testbed.plane.restores.list();
    assert.is(restores.find(({ container }) => container === 'in-order')?.clone, true);
    await scene.ask('in-order');
    const timeline = page.locator('.timeline');
    await timeline.getByText(/first response after [\d.]+ m?s, all pages in place after/).waitFor();
    assert.is(await timeline.locator('canvas').count(), 2);
    const legend = (await timeline.locator('.legend').innerText()).replaceAll('\u202f', '');
    assert.ok(Number(/pushed (\d+)/.exec(legend)?.[1]) > 100, legend);
    assert.ok(Number(/filled (\d+)/.exec(legend)?.[1]) > 100, legend);
    await page.locator('[data-policy=ordered]').waitFor();
    await page.locator('[data-policy=lazy]').waitFor();
    // What is drawn is not one colour.
    const colours = (await page.evaluate(`(() => {
      const canvas = [...document.querySelectorAll('.timeline canvas')].at(-1);
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    })()`)) as number;
    assert.ok(colours > 3, `${colours} colours`);
    assert.equal(await audit(), []);
  });
});

test('with restores to show, nothing is cut off on a phone', async ({ scene }) => {
  const { page, audit, close } = await visit(scene.browser, scene.url, {
    viewport: PHONE,
    colorScheme: 'dark',
  });
  await untilLive(page);
  await page.locator('.timeline canvas').first().waitFor();
  assert.equal(await audit(), []);
  await close();
});

test('the restore is one trace over plane, agent and pager', async ({ receiver }) => {
  const { spans } = receiver;
  const last = () =>
    spans.findLast(
      ({ name, attributes }) => name === 'restore' && attributes['offload.container'] === 'in-order',
    );
  await until('the span of the restore', last);
  const restore = last()!;
  // Spans are sent as they end, a batch at a time.
  const received = async (what: string, isIt: (span: ReceivedSpan) => boolean) => {
    await until(what, () => spans.some(isIt));
    return spans.find(isIt)!;
  };
  const below = async (parent: string, name: string) => {
    const span = await received(
      `${name} below ${parent}`,
      (other) => other.parentSpanId === parent && other.name === name,
    );
    assert.is(span.traceId, restore.traceId);
    return span;
  };
  const request = await received('the request', ({ spanId }) => spanId === restore.parentSpanId);
  assert.is(request.name, 'POST /v1/restores');
  const call = await below(restore.spanId, 'agent restoreContainer');
  const inside = await below(call.spanId, 'restoreContainer');
  assert.is(inside.service, 'offload-agent');
  assert.ok(inside.startMs >= call.startMs && inside.endMs <= call.endMs);
  for (const name of ['prepare container', 'wait for pager', 'criu restore']) {
    await below(inside.spanId, name);
  }
  const pager = await below(restore.spanId, 'page session');
  assert.is(pager.service, 'offload-pager');
  assert.equal([...pager.events].sort(), ['complete', 'connected', 'firstResponse', 'restored', 'running']);
  assert.ok(Number(pager.attributes['offload.pages.pushed']) > 100);
});

test.run();
