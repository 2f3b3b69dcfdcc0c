/**
 * What crun and CRIU do at a checkpoint, run by the fake crun: reads the page server's address from the
 * bundle's criu.conf, sends a task's pages over CRIU's wire, and leaves images.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { ANSWER_BYTES, DUMP, LATER_DUMP, STATS } from './criu-dump.ts';

/** A directory of CRIU's images, in the place of made-up ones; on top of a parent only what has changed comes then. */
const golden = process.env.GOLDEN;

const option = (name: string) =>
  process.argv.find((arg) => arg.startsWith(`${name}=`))?.slice(name.length + 1);
const images = option('--image-path')!;
const isPreDump = process.argv.includes('--pre-dump');
const bundle = dirname(images);
const config = readFileSync(join(bundle, 'criu.conf'), 'utf8');
const port = Number(/^port (\d+)$/m.exec(config)?.[1]);

if (existsSync(join(bundle, 'criu-fails'))) {
  writeFileSync(join(images, 'dump.log'), '(00.01) Error (criu/mem.c:1): no memory for this\n');
  process.exit(1);
}
const parent = /^prev-images-dir (.+)$/m.exec(config)?.[1];
writeFileSync(join(bundle, 'parent-seen'), String(existsSync(join(images, 'parent', 'inventory.img'))));
if (parent !== undefined && !existsSync(join(images, parent, 'inventory.img'))) {
  writeFileSync(join(images, 'dump.log'), '(00.01) Error (criu/mem.c:2): no parent inventory\n');
  process.exit(1);
}
const socket = connect({ port, host: '127.0.0.1' });
socket.write(golden && parent !== undefined ? LATER_DUMP : DUMP);
let answeredBytes = 0;
for await (const chunk of socket) {
  answeredBytes += chunk.length;
  if (answeredBytes >= ANSWER_BYTES) break;
}
if (answeredBytes < ANSWER_BYTES) {
  writeFileSync(join(images, 'dump.log'), '(00.01) Error (criu/page-xfer.c:1): the page server hung up\n');
  process.exit(1);
}
for (const name of [...(isPreDump ? [] : ['core-1.img']), 'inventory.img', 'dump.log']) {
  writeFileSync(join(images, name), `${name}'s content`);
}
if (golden && !isPreDump) {
  for (const name of readdirSync(golden)) copyFileSync(join(golden, name), join(images, name));
}
writeFileSync(join(images, 'stats-dump'), STATS);
