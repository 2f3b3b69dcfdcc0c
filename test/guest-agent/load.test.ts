import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readLoad } from '../../guest-agent/load.ts';
import { GuestLoad } from '../../interconnect/agent-api.ts';
import { tempDirectory } from '../helpers/temp-directory.ts';

const STAT = 'cpu  100 20 30 4000 500 6 4 10 0 0\ncpu0 50 10 15 2000 250 3 2 5 0 0\n';
const MEMINFO = 'MemTotal:        2048 kB\nMemFree:          512 kB\nMemAvailable:    1024 kB\n';

function procOf(files: Record<string, string>): string {
  const directory = tempDirectory('proc');
  mkdirSync(join(directory, 'pressure'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

test('the load counts busy time of all processors without idle and disk waits, memory in bytes, and pressure', async () => {
  const some = (avg10: string) =>
    `some avg10=${avg10} avg60=0.00 avg300=0.00 total=1\nfull avg10=9.99 avg60=0\n`;
  const load = await readLoad(
    procOf({
      ...{ stat: STAT, meminfo: MEMINFO },
      ...{ 'pressure/cpu': some('12.50'), 'pressure/memory': some('0.00'), 'pressure/io': some('3.10') },
    }),
  );
  assert.is(load.cpuBusyMs, 1_700);
  assert.is(load.memoryTotalBytes, 2_097_152);
  assert.is(load.memoryAvailableBytes, 1_048_576);
  assert.equal(load.pressure, { cpu: 12.5, memory: 0, io: 3.1 });
  assert.ok(Value.Check(GuestLoad, load));
});

test('a kernel that keeps no account of pressure has none', async () => {
  const load = await readLoad(procOf({ stat: STAT, meminfo: MEMINFO }));
  assert.is(load.pressure, undefined);
  assert.ok(Value.Check(GuestLoad, load));
});

test("this machine's own load fits the schema", async () => {
  const load = await readLoad();
  assert.ok(Value.Check(GuestLoad, load), JSON.stringify(load));
  assert.ok(load.cpuBusyMs > 0 && load.memoryAvailableBytes > 0);
});

test.run();
