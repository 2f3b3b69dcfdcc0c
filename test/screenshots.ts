/** `npm run docs:screenshots`: the pictures of the dashboard in docs/images, of real guests. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { untilLive, visit } from './helpers/browser.ts';
import { startScene } from './helpers/dashboard-scene.ts';

const DIRECTORY = join(import.meta.dirname, '../docs/images');
const say = (text: string) => process.stderr.write(`screenshots: ${text}\n`);
const PHONE = { viewport: { width: 390, height: 844 } };
const DESK = { viewport: { width: 1_280, height: 800 } };

mkdirSync(DIRECTORY, { recursive: true });
const scene = await startScene(say);
try {
  // A page that is open from the start has seen the guests' load over time.
  const watcher = await visit(scene.browser, scene.url);
  await untilLive(watcher.page);
  for (const [name, policy] of [
    ['recording', 'lazy'],
    ['first-touch', 'lazy'],
    ['all-at-once', 'eager'],
    ['in-order', 'ordered'],
  ] as const) {
    await scene.restore(name, policy);
    if (name !== 'in-order') await scene.testbed.plane.containers.remove(name, { force: true });
  }
  await shoot('dashboard-light', { ...DESK, colorScheme: 'light' }, { fullPage: true });
  await shoot('dashboard-dark', { ...DESK, colorScheme: 'dark' }, { section: '#restores' });
  await shoot('dashboard-phone', { ...PHONE, colorScheme: 'light' }, { prepare: toRestores });
  await shoot('dashboard-terminal', { ...DESK, colorScheme: 'dark' }, { prepare: openTerminal });
  await watcher.close();
} finally {
  await scene.stop();
}

async function shoot(
  name: string,
  options: BrowserContextOptions,
  {
    fullPage = false,
    section,
    prepare,
  }: { fullPage?: boolean; section?: string; prepare?: (page: Page) => Promise<void> },
): Promise<void> {
  say(name);
  const { page, close } = await visit(scene.browser, scene.url, options);
  await untilLive(page);
  await page.locator('.sparkline').first().waitFor();
  await page.locator('.timeline canvas').first().waitFor();
  // CPU is known from the second time on that it was asked.
  await page.locator('[data-container=cache] [data-label=CPU]', { hasText: '%' }).waitFor();
  await prepare?.(page);
  const path = join(DIRECTORY, `${name}.png`);
  if (section) await page.locator(section).screenshot({ path });
  else await page.screenshot({ path, fullPage });
  await close();
}

async function toRestores(page: Page): Promise<void> {
  await page.evaluate("document.querySelector('#restores').scrollIntoView({ behavior: 'instant' })");
}

async function openTerminal(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Terminal of chatter' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Open' }).click();
  await page.getByText('/bin/sh: connected').waitFor();
  await page.keyboard.type('cat /etc/passwd; ps; uptime\n');
  await page.locator('.screen').getByText('load average').first().waitFor();
}
