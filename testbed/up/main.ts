/** The supervisor's entry; `offload up` starts it in the background with its options as JSON. */
import { type UpOptions, upPlaces } from './record.ts';
import { startSupervisor } from './supervisor.ts';

const supervisor = startSupervisor(JSON.parse(process.argv[2] ?? '') as UpOptions, upPlaces());
let ending = false;
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (ending) return;
    ending = true;
    void supervisor.stop().finally(() => process.exit(0));
  });
}
await supervisor.ready.catch((error: unknown) => {
  console.error(error);
  if (!ending) process.exit(1);
});
