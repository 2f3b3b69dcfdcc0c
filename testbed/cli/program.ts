/** `offload`: the testbed's commands and the plane's own, in one program. */
import { Command } from 'commander';
import { addPlaneCommands } from '../../offload-plane/cli/commands.ts';
import { addStoreCommands } from '../../offload-plane/cli/store-commands.ts';
import { API_VERSION } from '../../offload-plane/http-api/version.ts';
import { addTestbedCommands } from './testbed-commands.ts';
import { addUpCommands } from './up-commands.ts';

export function createProgram(): Command {
  const program = new Command('offload')
    .description('A container control plane that runs off the host')
    .version(API_VERSION)
    .enablePositionalOptions();
  addUpCommands(program);
  addTestbedCommands(program);
  addPlaneCommands(program);
  addStoreCommands(program);
  tellErrorsInOneLine(program);
  return program;
}

/** And where the flags of just that verb are. */
function tellErrorsInOneLine(command: Command, path = command.name()): void {
  command.configureOutput({
    outputError: (text, write) =>
      write(
        `offload: ${text
          .trim()
          .replace(/^error: |\.$/g, '')
          .replaceAll(/\s*\n\s*/g, ' ')}; see ${path} --help\n`,
      ),
  });
  for (const verb of command.commands) tellErrorsInOneLine(verb, `${path} ${verb.name()}`);
}
