/**
 * What crun and CRIU do at a checkpoint, run by the fake crun: reads the page server's address from the
 * bundle's criu.conf, sends a task's pages over CRIU's wire, and leaves images.
 */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import {
  CriuCommand,
  encodeCriuHeader,
  encodeCriuTarget,
} from '../../offload-plane/page-server/criu-wire.ts';

const PAGE_BYTES = 4096;
const images = process.argv.find((arg) => arg.startsWith('--image-path='))!.slice('--image-path='.length);
const bundle = dirname(images);
const config = readFileSync(join(bundle, 'criu.conf'), 'utf8');
const port = Number(/^port (\d+)$/m.exec(config)?.[1]);
const command = (number: number, target: bigint, vaddr = 0n, pageCount = 0n, flags = 0) =>
  encodeCriuHeader({ command: number, flags, vaddr, pageCount, target });

if (existsSync(join(bundle, 'criu-fails'))) {
  writeFileSync(join(images, 'dump.log'), '(00.01) Error (criu/mem.c:1): no memory for this\n');
  process.exit(1);
}
const task = encodeCriuTarget({ kind: 'task', id: 1 });
const socket = connect({ port, host: '127.0.0.1' });
socket.write(command(CriuCommand.OPEN2, task));
socket.write(command(CriuCommand.ADD_F, task, 0x7f00_0000_0000n, 3n, 6));
socket.write(Buffer.alloc(3 * PAGE_BYTES, 'p'));
socket.write(command(CriuCommand.CLOSE, 0n));
socket.resume();
await once(socket, 'data');
socket.end();
for (const name of ['core-1.img', 'inventory.img', 'dump.log', 'stats-dump']) {
  writeFileSync(join(images, name), `${name}'s content`);
}
