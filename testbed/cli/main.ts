/** Runs `offload`, and tells what went wrong. */
import { styleText } from 'node:util';
import { addCompletion } from '../../offload-plane/cli/completion.ts';
import { CliFailure } from '../../offload-plane/cli/context.ts';
import { hintOf } from '../../offload-plane/cli/hints.ts';
import { printableLines } from '../../offload-plane/cli/printable.ts';
import { OffloadError } from '../../platform/errors.ts';
import { createProgram } from './program.ts';

const program = createProgram();
await addCompletion(program, process.argv);

try {
  await program.parseAsync();
  process.exit();
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const red = (text: string) => styleText('red', text, { stream: process.stderr });
  process.stderr.write(`${red('offload:')} ${printableLines(message)}\n`);
  const hint = hintOf(error);
  if (hint !== undefined) process.stderr.write(`${' '.repeat('offload:'.length)} ${hint}\n`);
  const isExpected = error instanceof OffloadError || error instanceof CliFailure;
  if (!isExpected && process.env.OFFLOAD_DEBUG) console.error(error);
  process.exit(error instanceof CliFailure ? error.exitCode : 1);
}
