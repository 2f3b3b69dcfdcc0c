/** A plane over a guest of fakes, spoken to by its HTTP API. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { InjectOptions } from 'fastify';
import * as assert from 'uvu/assert';
import { type App, createHttpApi } from '../../offload-plane/http-api/server.ts';
import { createPlane, type Plane, type Timeouts } from '../../offload-plane/plane.ts';
import { type FakeMachine, startFakeMachine } from './fake-machine.ts';
import { PATIENT_TIMEOUTS } from './patient-timeouts.ts';
import { placeImage } from './placed-image.ts';
import { silentLogger } from './plane-parts.ts';
import { tempDirectory } from './temp-directory.ts';

export interface ApiWorld {
  app: App;
  plane: Plane;
  machine: FakeMachine;
  /** Status and body of a request; a string body is sent as it is. */
  send(method: InjectOptions['method'] & string, url: string, body?: unknown): Promise<ApiAnswer>;
}

export interface ApiAnswer {
  status: number;
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever JSON came
  body: any;
}

/** A plane with one image, `redis`, over a guest that is not registered yet. */
export async function withApi(
  body: (world: ApiWorld) => Promise<void>,
  timeouts: Partial<Timeouts> = {},
): Promise<void> {
  const storeDirectory = tempDirectory('http-api');
  placeImage(join(storeDirectory, 'images'));
  const machine = await startFakeMachine('guest-a');
  const plane = await createPlane(
    { storeDirectory, hostAddress: '127.0.0.1', timeouts: { ...PATIENT_TIMEOUTS, ...timeouts } },
    { logger: silentLogger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  const app = await createHttpApi(plane, silentLogger, { checkAnswers: true });
  const send: ApiWorld['send'] = async (method, url, payload) => {
    const response = await app.inject({
      method: method as 'GET',
      url,
      ...(payload === undefined
        ? {}
        : {
            headers: { 'content-type': 'application/json' },
            payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
          }),
    });
    const type = String(response.headers['content-type'] ?? '');
    return {
      status: response.statusCode,
      type,
      body: /\bjson\b/.test(type) ? response.json() : response.body,
    };
  };
  try {
    await body({ app, plane, machine, send });
  } finally {
    await app.close();
    await plane.close();
    machine.close();
  }
}

export function assertProblem({ status, type, body }: ApiAnswer, code: string, expectedStatus: number): void {
  assert.is(status, expectedStatus, JSON.stringify(body));
  assert.match(type, /^application\/problem\+json/);
  assert.equal(Object.keys(body), ['type', 'title', 'status', 'detail']);
  assert.is(body.type, `urn:offload:error:${code}`);
  assert.is(body.title, code);
  assert.is(body.status, expectedStatus);
  assert.not(body.detail.includes('\n'));
}
