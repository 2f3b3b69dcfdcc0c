/** Runs `offload`, and tells what went wrong. */
import { styleText } from 'node:util';
import { addCompletion } from '../../offload-plane/cli/completion.ts';
import { CliFailure } from '../../offload-plane/cli/context.ts';
import { hintOf } from '../../offload-plane/cli/hints.ts';
import { printableLines } from '../../offload-plane/cli/printable.ts';
import { OffloadError } from '../../platform/errors.ts';
import { createProgram } from './program.ts';

/** As a shell reports who was ended by it. */
const KILLED_BY_SIGPIPE = 141;

process.stdout.on('error', leave);

const program = createProgram();
await addCompletion(program, process.argv);

try {
  await program.parseAsync();
  process.exit();
} catch (error) {
  tell(error);
  const isExpected = error instanceof OffloadError || error instanceof CliFailure;
  if (!isExpected && process.env.OFFLOAD_DEBUG) console.error(error);
  process.exit(error instanceof CliFailure ? error.exitCode : 1);
}

function tell(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const red = (text: string) => styleText('red', text, { stream: process.stderr });
  process.stderr.write(`${red('offload:')} ${printableLines(message)}\n`);
  const hint = hintOf(error);
  if (hint !== undefined) process.stderr.write(`${' '.repeat('offload:'.length)} ${hint}\n`);
}

/** What cannot be printed ends the program; quietly where who read it has seen enough, as `| head` does. */
function leave(error: NodeJS.ErrnoException): never {
  if (error.code === 'EPIPE') process.exit(KILLED_BY_SIGPIPE);
  tell(new OffloadError('internal', `write to standard output: ${error.message}`));
  process.exit(1);
}
