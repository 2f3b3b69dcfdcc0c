/** The CLI's verbs on a running plane, one file a noun. */
import type { Command } from 'commander';
import { addCommonOptions, createContext } from './context.ts';
import { addAgentCall } from './verbs/agent-call.ts';
import { addCheckpointCommands } from './verbs/checkpoints.ts';
import { addContainerCommands } from './verbs/containers.ts';
import { addEventCommands } from './verbs/events.ts';
import { addGuestCommands } from './verbs/guests.ts';
import { addImageCommands } from './verbs/images.ts';
import { addOperationCommands } from './verbs/operations.ts';
import { addRestoreCommands } from './verbs/restores.ts';
import { addRunCommands } from './verbs/run.ts';
import { addStatsCommand } from './verbs/stats.ts';
import { addStreamCommands } from './verbs/streams.ts';
import { addTemplateCommands } from './verbs/templates.ts';
import { addVolumeCommands } from './verbs/volumes.ts';

export function addPlaneCommands(program: Command): void {
  const others = new Set(program.commands);
  const context = createContext(program);
  addRunCommands(program, context);
  addContainerCommands(program, context);
  addStatsCommand(program, context);
  addStreamCommands(program, context);
  addAgentCall(program, context);
  addCheckpointCommands(program, context);
  addRestoreCommands(program, context);
  addTemplateCommands(program, context);
  addImageCommands(program, context);
  addVolumeCommands(program, context);
  addGuestCommands(program, context);
  addEventCommands(program, context);
  addOperationCommands(program, context);
  addCommonOptions(program);
  for (const verb of program.commands) if (!others.has(verb)) addCommonOptions(verb);
}
