/** `npm run docs`: puts the tables of metrics into docs/metrics.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMetrics } from '../metrics.ts';
import { withTables } from './document.ts';

const path = join(import.meta.dirname, '../../docs/metrics.md');
writeFileSync(path, withTables(readFileSync(path, 'utf8'), createMetrics().registry));
