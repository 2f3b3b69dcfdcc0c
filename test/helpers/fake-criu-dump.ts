/**
 * What crun and CRIU do at a checkpoint, run by the fake crun: reads the page server's address from the
 * bundle's criu.conf, sends a task's pages over CRIU's wire, and leaves images.
 */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { DUMP } from './criu-dump.ts';

const images = process.argv.find((arg) => arg.startsWith('--image-path='))!.slice('--image-path='.length);
const bundle = dirname(images);
const config = readFileSync(join(bundle, 'criu.conf'), 'utf8');
const port = Number(/^port (\d+)$/m.exec(config)?.[1]);

if (existsSync(join(bundle, 'criu-fails'))) {
  writeFileSync(join(images, 'dump.log'), '(00.01) Error (criu/mem.c:1): no memory for this\n');
  process.exit(1);
}
const socket = connect({ port, host: '127.0.0.1' });
socket.write(DUMP);
socket.resume();
await once(socket, 'data');
socket.end();
for (const name of ['core-1.img', 'inventory.img', 'dump.log', 'stats-dump']) {
  writeFileSync(join(images, name), `${name}'s content`);
}
