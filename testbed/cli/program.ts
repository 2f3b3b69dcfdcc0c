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
    .enablePositionalOptions()
    .configureOutput({
      outputError: (text, write) =>
        write(
          `offload: ${text
            .trim()
            .replace(/^error: |\.$/g, '')
            .replaceAll(/\s*\n\s*/g, ' ')}; see offload --help\n`,
        ),
    });
  addUpCommands(program);
  addTestbedCommands(program);
  addPlaneCommands(program);
  addStoreCommands(program);
  return program;
}
