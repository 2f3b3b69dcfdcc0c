/** A container as the plane would ask for it. */
import type { ContainerSpec } from '../../interconnect/agent-api.ts';

export const CONTAINER_SPEC: ContainerSpec = {
  id: 'web',
  hostname: 'web',
  rootfsLun: 1,
  command: ['/bin/server', '--port', '80'],
  env: ['PATH=/bin'],
  workingDir: '/',
  user: '0:0',
  address: '127.0.0.1/8',
};
