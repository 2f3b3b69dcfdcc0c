/**
 * Set-up of the machine, the part that may be written in TypeScript: run by `./offload` when its stamp is
 * missing. Prints what it does as it does it.
 */
import { cacheDirectory } from './cache.ts';
import { ensureTestbedTools } from './tools.ts';

try {
  const progress = (line: string) => console.error(`offload: ${line}`);
  await ensureTestbedTools({ cacheDirectory: cacheDirectory(), progress });
} catch (error) {
  console.error(`offload: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
