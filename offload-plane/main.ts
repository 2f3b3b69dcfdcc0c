/** The plane's entry: flags to config, config to parts; real parts are made here and nowhere else. */
import { randomBytes } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { OffloadError } from '../platform/errors.ts';
import { openListeners } from './http-api/listeners.ts';
import { type TcpFlags, tcpListenerOf } from './http-api/tcp.ts';
import { createLogger } from './logger.ts';
import { createPlane, DEFAULT_TIMEOUTS } from './plane.ts';
import { openTracing } from './tracing/otlp.ts';

interface Flags extends TcpFlags {
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
  .option('--listen <address:port>', 'the HTTP API on TCP as well; needs --token-file or --tls-client-ca')
  .option('--token-file <file>', 'holds the bearer token that requests over TCP need; mode 600')
  .option('--tls-cert <file>', 'certificate chain for --listen, PEM')
  .option('--tls-key <file>', 'its key, PEM')
  .option('--tls-client-ca <file>', 'only clients with a certificate signed by this one, PEM')
  .parse()
  .opts<Flags>();

const logger = createLogger(flags.logLevel);
try {
  const tcp = await tcpListenerOf(flags);
  const traces = await openTracing(process.env);
  const plane = await createPlane(
    {
      storeDirectory: flags.store,
      hostAddress: flags.publishAddress,
      timeouts: DEFAULT_TIMEOUTS,
      ...(flags.storeQuotaBytes === undefined ? {} : { quotaBytes: flags.storeQuotaBytes }),
    },
    {
      logger,
      nowMs: () => performance.now(),
      wallMs: () => Date.now(),
      randomBytes,
      tracing: traces.tracing,
    },
  );
  const api = await openListeners(plane, logger, { socketPath: flags.socket, tcp });
  const stop = async () => {
    await api.close();
    await plane.close();
    await traces.close();
    process.exit(0);
  };
  process.once('SIGINT', () => void stop());
  process.once('SIGTERM', () => void stop());
} catch (error) {
  const message = error instanceof OffloadError ? error.message : String(error);
  process.stderr.write(`offload-plane: ${message}\n`);
  process.exit(1);
}
