/**
 * How the guest's init starts the agent. Part of the agent layer, so that a change of Node's flags does not
 * rebuild the guest image.
 */
import { agentLayerMount } from './init-script.ts';

export const agentStartScript = `#!/bin/sh
exec node ${agentLayerMount}/agent.mjs
`;
