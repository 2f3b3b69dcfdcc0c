/** The plane's entry: flags to config, config to parts; real parts are made here and nowhere else. */
import { randomBytes } from 'node:crypto';
import { chmod, rm } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { OffloadError } from '../platform/errors.ts';
import { createHttpApi } from './http-api/server.ts';
import { createLogger } from './logger.ts';
import { createPlane, DEFAULT_TIMEOUTS } from './plane.ts';

interface Flags {
  socket: string;
  store: string;
  storeQuotaBytes?: number;
  publishAddress: string;
  logLevel: string;
}

function positiveInteger(value: string): number {
  if (!/^[1-9]\d*$/.test(value)) throw new InvalidArgumentError('expected a positive whole number of bytes');
  return Number(value);
}

const flags = new Command('offload-plane')
  .description('The container control plane, on the offload device')
  .requiredOption('--socket <path>', 'Unix socket the HTTP API listens on')
  .requiredOption('--store <directory>', 'directory that stands for the dedicated NVMe device')
  .option('--store-quota-bytes <bytes>', 'all checkpoints together (default: no limit)', positiveInteger)
  .option('--publish-address <address>', 'address that published ports listen on', '127.0.0.1')
  .addOption(
    new Option('--log-level <level>', 'how much is logged')
      .choices(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
      .default('info'),
  )
  .parse()
  .opts<Flags>();

const logger = createLogger(flags.logLevel);
try {
  const plane = await createPlane(
    {
      storeDirectory: flags.store,
      hostAddress: flags.publishAddress,
      timeouts: DEFAULT_TIMEOUTS,
      ...(flags.storeQuotaBytes === undefined ? {} : { quotaBytes: flags.storeQuotaBytes }),
    },
    { logger, nowMs: () => performance.now(), wallMs: () => Date.now(), randomBytes },
  );
  const api = await createHttpApi(plane, logger);
  await rm(flags.socket, { force: true });
  await api.listen({ path: flags.socket });
  await chmod(flags.socket, 0o600);
  const stop = async () => {
    await api.close();
    await plane.close();
    process.exit(0);
  };
  process.once('SIGINT', () => void stop());
  process.once('SIGTERM', () => void stop());
} catch (error) {
  const message = error instanceof OffloadError ? error.message : String(error);
  process.stderr.write(`offload-plane: ${message}\n`);
  process.exit(1);
}
