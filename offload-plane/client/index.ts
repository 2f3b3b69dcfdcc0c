/** The plane's HTTP API as functions: what the CLI, the testbed and other programs speak to a plane with. */
import { checkpointCalls } from './checkpoints.ts';
import { connectPlane, type PlaneAddress } from './connection.ts';
import { containerCalls } from './containers.ts';
import { eventCalls, operationCalls } from './events.ts';
import { guestCalls } from './guests.ts';
import { imageCalls } from './images.ts';
import type { Watcher } from './long-calls.ts';
import { restoreCalls } from './restores.ts';
import { stdioCalls } from './stdio.ts';
import { templateCalls } from './templates.ts';
import { volumeCalls } from './volumes.ts';

export type { Channels } from './channels.ts';
export type { PlaneAddress } from './connection.ts';
export type { Watched, Watcher } from './long-calls.ts';
export { meter } from './upload.ts';

/** @param watcher hears of the progress of long calls */
export function createPlaneClient(address: PlaneAddress, watcher?: Watcher) {
  const connection = connectPlane(address, watcher);
  return {
    /** For calls that have no function here yet, and for streams. */
    connection,
    guests: guestCalls(connection),
    images: imageCalls(connection),
    containers: containerCalls(connection),
    checkpoints: checkpointCalls(connection),
    restores: restoreCalls(connection),
    stdio: stdioCalls(connection),
    templates: templateCalls(connection),
    volumes: volumeCalls(connection),
    operations: operationCalls(connection),
    ...eventCalls(connection),
    async metrics(): Promise<string> {
      return await (await connection.send({ method: 'GET', path: '/metrics' })).body.text();
    },
    close: () => connection.close(),
  };
}
export type PlaneClient = ReturnType<typeof createPlaneClient>;
