/**
 * How the guest's init starts the agent. Part of the agent layer, so that a change of Node's flags does not
 * rebuild the guest image.
 */
import { agentLayerMount } from './init-script.ts';

/**
 * What the guest pays for Node, brought down: one thread for V8's background work instead of four, a young
 * generation of 2 x 1 MiB instead of 16, one arena of malloc instead of one for each thread. `gc` is there
 * for when the agent has nothing to do (guest-agent/idle-collection.ts).
 */
export const NODE_FLAGS = ['--v8-pool-size=1', '--max-semi-space-size=1', '--expose-gc'];

export const agentStartScript = `#!/bin/sh
MALLOC_ARENA_MAX=1 exec node ${NODE_FLAGS.join(' ')} ${agentLayerMount}/agent.mjs
`;
