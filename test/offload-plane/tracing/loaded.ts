/** Says how many files of OpenTelemetry's exporters a plane loads that was started with this environment. */
import { registerHooks } from 'node:module';

let loaded = 0;
registerHooks({
  load(url, context, next) {
    // Its API alone is what prom-client loads.
    if (/\/@opentelemetry\/(?!api\/)/.test(url)) loaded += 1;
    return next(url, context);
  },
});
const { openTracing } = await import('../../../offload-plane/tracing/otlp.ts');
await import('../../../offload-plane/plane.ts');
await openTracing(process.env);
console.log(loaded);
process.exit();
