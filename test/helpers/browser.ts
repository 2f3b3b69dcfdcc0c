/** A browser without a window, and pages of the dashboard in it. */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import * as assert from 'uvu/assert';

const PROGRAM = '/usr/bin/chromium';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const TIMEOUT_MS = 180_000;
/** What is asked for again and again may be gone, or its guest slow, by the time of the answer: the page shows the rest. */
const POLLED = /\/v1\/(guests\/[^/]+\/load|containers\/[^/]+\/stats)$/;
const AUDIT = join(import.meta.dirname, '../offload-plane/dashboard/in-page/audit.ts');

export const PHONE = { width: 360, height: 740 };
export const DESK = { width: 1_280, height: 800 };

export interface Visit {
  page: Page;
  /** What the page complained about, scripts and policy alike. */
  complaints: string[];
  /** What is wrong for somebody who does not see the page. */
  audit(): Promise<string[]>;
  close(): Promise<void>;
}

export const launchBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath: PROGRAM, args: ARGS, timeout: TIMEOUT_MS });

/** @param url with the token in its fragment, if there is one */
export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({ viewport: DESK, ...options });
  context.setDefaultTimeout(TIMEOUT_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    const isComplaint = message.type() === 'error' || message.type() === 'warning';
    if (isComplaint && !POLLED.test(message.location().url)) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(url);
  return {
    page,
    complaints,
    audit: () => page.evaluate(`${auditScript()}; audit()`),
    close: () => context.close(),
  };
}

/** A script, no module: the page's own policy would refuse one. */
const auditScript = () =>
  stripTypeScriptTypes(readFileSync(AUDIT, 'utf8')).replace('export function', 'function');

/** A page that is live, and that must not complain. */
export async function onLivePage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions,
  body: (visited: Visit) => Promise<void>,
): Promise<void> {
  const visited = await visit(browser, url, options);
  try {
    await untilLive(visited.page);
    await body(visited);
    assert.equal(visited.complaints, []);
  } finally {
    await visited.close();
  }
}

export const untilLive = (page: Page): Promise<unknown> => page.waitForSelector('[data-connection=live]');
