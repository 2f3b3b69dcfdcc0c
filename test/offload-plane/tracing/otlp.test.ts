import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as assert from 'uvu/assert';
import { createHttpApi } from '../../../offload-plane/http-api/server.ts';
import { createPlane } from '../../../offload-plane/plane.ts';
import { openTracing } from '../../../offload-plane/tracing/otlp.ts';
import { NO_TRACING } from '../../../offload-plane/tracing/tracing.ts';
import { startFakeMachine } from '../../helpers/fake-machine.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../../helpers/otlp-receiver.ts';
import { PATIENT_TIMEOUTS } from '../../helpers/patient-timeouts.ts';
import { placeImage } from '../../helpers/placed-image.ts';
import { silentLogger } from '../../helpers/plane-parts.ts';
import { suite } from '../../helpers/suite.ts';
import { tempDirectory } from '../../helpers/temp-directory.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const ENDPOINT = 'OTEL_EXPORTER_OTLP_ENDPOINT';
/** A program that counts. */
const LOADED = join(import.meta.dirname, 'loaded.ts');
const WEB = { name: 'web', guest: 'guest-a', image: 'redis' };

type Send = (url: string, payload: object, traceparent?: string) => Promise<void>;

const test = suite<{ receiver: OtlpReceiver }>('traces');
test.before(async (context) => {
  context.receiver = await startOtlpReceiver();
  process.env[ENDPOINT] = context.receiver.endpoint;
});
test.after(({ receiver }) => {
  delete process.env[ENDPOINT];
  receiver.close();
});

/** A plane that traces, over an agent with fake programs and a running container; what the collector got. */
async function traced(
  receiver: OtlpReceiver,
  body: (send: Send) => Promise<void>,
  bounds = { closeTimeoutMs: 120_000 },
): Promise<ReceivedSpan[]> {
  const storeDirectory = tempDirectory('traces');
  placeImage(join(storeDirectory, 'images'));
  const machine = await startFakeMachine('guest-a');
  const { tracing, close } = await openTracing(process.env, bounds);
  const plane = await createPlane(
    { storeDirectory, hostAddress: '127.0.0.1', timeouts: PATIENT_TIMEOUTS },
    {
      ...{ logger: silentLogger, randomBytes, tracing },
      ...{ nowMs: () => performance.now(), wallMs: () => Date.now() },
    },
  );
  const app = await createHttpApi(plane, silentLogger);
  const send: Send = async (url, payload, traceparent) => {
    const headers = traceparent === undefined ? {} : { traceparent };
    const { statusCode, body: answer } = await app.inject({ method: 'POST', url, payload, headers });
    assert.ok(statusCode < 300, answer);
  };
  const from = receiver.spans.length;
  try {
    await send('/v1/guests', machine.registration);
    await send('/v1/containers', WEB);
    await send('/v1/containers/web/start', {});
    await body(send);
  } finally {
    await app.close();
    await plane.close();
    await close();
    machine.close();
  }
  return receiver.spans.slice(from);
}

test('a checkpoint joins the trace of its request, and each span lies within the one above it', async ({
  receiver,
}) => {
  const all = await traced(receiver, (send) =>
    send('/v1/checkpoints', { container: 'web', id: 'warm' }, `00-${TRACE_ID}-${CALLER}-01`),
  );
  const spans = all.filter(({ traceId }) => traceId === TRACE_ID);
  const named = (service: string, name: string) => {
    const span = spans.find((candidate) => candidate.service === service && candidate.name === name);
    assert.ok(span, `${service}: ${name} among ${spans.map((known) => known.name).join(', ')}`);
    return span;
  };
  const request = named('offload-plane', 'POST /v1/checkpoints');
  assert.is(request.parentSpanId, CALLER);
  assert.equal(
    [request.attributes['http.route'], request.attributes['http.response.status_code']],
    ['/v1/checkpoints', 201],
  );
  const checkpoint = named('offload-plane', 'checkpoint');
  assert.is(checkpoint.parentSpanId, request.spanId);
  assert.is(checkpoint.attributes['offload.checkpoint'], 'warm');
  const call = named('offload-plane', 'agent checkpointContainer');
  assert.is(call.parentSpanId, checkpoint.spanId);
  const inside = named('offload-agent', 'checkpointContainer');
  assert.is(inside.parentSpanId, call.spanId);
  assert.is(inside.attributes['offload.guest'], 'guest-a');
  const dump = named('offload-agent', 'criu dump');
  assert.is(dump.parentSpanId, inside.spanId);
  for (const span of spans) {
    const above = spans.find(({ spanId }) => spanId === span.parentSpanId);
    assert.ok(span.endMs >= span.startMs);
    if (above) assert.ok(span.startMs >= above.startMs - 1 && span.endMs <= above.endMs + 1, span.name);
  }
  assert.is(new Set(spans.map(({ spanId }) => spanId)).size, spans.length);
});

test('requests that come without a trace get one each; a traceparent that is none is not taken', async ({
  receiver,
}) => {
  const spans = await traced(receiver, async (send) => {
    await send('/v1/containers/web/pause', {}, 'not a traceparent');
    await send('/v1/containers/web/resume', {}, `00-${'0'.repeat(32)}-${CALLER}-01`);
  });
  const requests = spans.filter(({ name }) => name.startsWith('POST '));
  assert.is(requests.length, 5);
  assert.is(new Set(requests.map(({ traceId }) => traceId)).size, 5);
  assert.ok(requests.every(({ parentSpanId }) => parentSpanId === ''));
  const paused = spans.find(({ name }) => name === 'pauseContainer');
  assert.is(paused?.traceId, requests.find(({ name }) => name.endsWith('/pause'))?.traceId);
});

test('without an endpoint nothing is traced', async () => {
  const { tracing, close } = await openTracing({});
  assert.is(tracing, NO_TRACING);
  assert.equal(tracing.begin('anything').headers(), {});
  await close();
});

test('without an endpoint none of OpenTelemetry’s exporters is loaded', async () => {
  const { [ENDPOINT]: endpoint, ...environment } = process.env;
  const filesWith = async (env: NodeJS.ProcessEnv) =>
    Number((await promisify(execFile)(process.execPath, [LOADED], { env })).stdout);
  assert.is(await filesWith(environment), 0);
  assert.ok((await filesWith({ ...environment, [ENDPOINT]: endpoint })) > 0);
});

test('an endpoint that does not answer costs no request and holds up no end', async () => {
  const receiver = await startOtlpReceiver();
  receiver.close();
  const before = process.env[ENDPOINT];
  process.env[ENDPOINT] = receiver.endpoint;
  try {
    assert.equal(await traced(receiver, async () => {}, { closeTimeoutMs: 1_000 }), []);
  } finally {
    process.env[ENDPOINT] = before;
  }
});

test.run();
