/** The agent's entry: real parts are made here and nowhere else. */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { AGENT_PORT } from '../interconnect/page-protocol.ts';
import { createAgent } from './agent.ts';
import { createApiServer } from './api/server.ts';
import { createGuestParts } from './guest-parts.ts';
import { restrainHugePages } from './huge-pages.ts';
import { collectWhenIdle } from './idle-collection.ts';
import { mountOverlay } from './mount-overlay.ts';
import { guestPaths } from './paths.ts';
import { runProgram } from './run-program.ts';
import { connectAttachSocket } from './runtime/attach-socket.ts';
import { connectVsock, HOST_CID, listenVsock } from './vsock.ts';

const CREATE_TIMEOUT_MS = 60_000;

process.on('unhandledRejection', (reason) => console.error('agent: unhandled rejection:', reason));

await restrainHugePages();
await mkdir(guestPaths.runDirectory, { recursive: true });
await mkdir(guestPaths.dataDirectory, { recursive: true });
const agent = await createAgent({
  paths: guestPaths,
  run: runProgram,
  parts: createGuestParts({ run: runProgram, paths: guestPaths, mountOverlay }),
  dialPlane: (port) => connectVsock(HOST_CID, port),
  connectAttach: connectAttachSocket,
  nowMs: () => performance.now(),
  later(act, delayMs) {
    const timer = setTimeout(act, delayMs);
    return () => clearTimeout(timer);
  },
  freshId: randomUUID,
  createTimeoutMs: CREATE_TIMEOUT_MS,
});
console.log(`agent: ${JSON.stringify(agent.adoption)}`);
const api = createApiServer(agent, { worked: collectWhenIdle() });
await listenVsock(AGENT_PORT, (socket) => api.accept(socket));
console.log(`agent: listening on vsock port ${AGENT_PORT}`);
