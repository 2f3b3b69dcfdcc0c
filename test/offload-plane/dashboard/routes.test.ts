import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type App, createHttpApi } from '../../../offload-plane/http-api/server.ts';
import { createPlane, type Plane } from '../../../offload-plane/plane.ts';
import { PATIENT_TIMEOUTS } from '../../helpers/patient-timeouts.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { suite } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const test = suite<{ plane: Plane; app: App }>("the dashboard's files");
const ROOT = join(import.meta.dirname, '../../..');

test.before(async (context) => {
  context.plane = await createPlane(
    { storeDirectory: tempDirectory('dashboard'), hostAddress: '127.0.0.1', timeouts: PATIENT_TIMEOUTS },
    { logger: silentLogger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  context.app = await createHttpApi(context.plane, silentLogger, { token: 'secret' });
});
test.after(async ({ app, plane }) => {
  await app.close();
  await plane.close();
});

test('the page is open, names files of the plane only, and lets in no script or style but those', async ({
  app,
}) => {
  const { statusCode, headers, body } = await app.inject('/');
  assert.is(statusCode, 200);
  assert.match(String(headers['content-type']), /^text\/html/);
  const policy = String(headers['content-security-policy']);
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self'(;|$)/);
  assert.not.match(policy, /unsafe/);
  assert.is(headers['x-content-type-options'], 'nosniff');
  const nonce = /style-src 'self' 'nonce-([^']+)'/.exec(policy)?.[1];
  assert.ok(body.includes(`nonce="${nonce}"`));
  assert.not.match(body, /(src|href)="(?!\/assets\/|data:)/);
});

test('each answer has a nonce of its own', async ({ app }) => {
  const policies = await Promise.all([app.inject('/'), app.inject('/')]);
  const [first, second] = policies.map(({ headers }) => headers['content-security-policy']);
  assert.is.not(first, second);
});

test('script and styles are made from the sources, the terminal apart, and name no other host', async ({
  app,
}) => {
  const script = await app.inject('/assets/main.js');
  const style = await app.inject('/assets/main.css');
  assert.match(String(script.headers['content-type']), /^text\/javascript/);
  assert.match(String(style.headers['content-type']), /^text\/css/);
  assert.ok(script.body.length < 150_000, `${script.body.length} bytes of script before anything is shown`);
  assert.not.match(style.body, /url\((?!['"]?data:)/);
  const parts = [...script.body.matchAll(/import\("\.\/([^"]+)"\)/g)].map(([, name]) => name);
  assert.ok(parts.length > 0);
  for (const name of parts) assert.is((await app.inject(`/assets/${name}`)).statusCode, 200);
});

test('a file that has not changed is not sent again, and one that is none is not found', async ({ app }) => {
  const { headers } = await app.inject('/assets/main.css');
  const again = await app.inject({ url: '/assets/main.css', headers: { 'if-none-match': headers.etag } });
  assert.equal([again.statusCode, again.body], [304, '']);
  assert.is((await app.inject('/assets/none.js')).statusCode, 404);
  assert.is((await app.inject('/assets/..%2fmain.tsx')).statusCode, 400);
});

test('what the page shows is not open', async ({ app }) => {
  assert.is((await app.inject('/v1/containers')).statusCode, 401);
});

test("the page's sources keep to the types of the plane's answers", () => {
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  execFileSync(tsc, ['--noEmit', '--project', 'offload-plane/dashboard/page'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
});

test.run();
