/** The plane's log: pino, one JSON line an event, on standard error so that standard output stays free. */
import { type Logger, pino } from 'pino';

export type { Logger };

export function createLogger(level: string): Logger {
  return pino({ level, base: { component: 'plane' } }, pino.destination(2));
}
