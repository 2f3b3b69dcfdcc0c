import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addPlaneCommands } from '../../../offload-plane/cli/commands.ts';
import { addStoreCommands } from '../../../offload-plane/cli/store-commands.ts';
import { addUpCommands } from '../../../testbed/cli/up-commands.ts';

const text = readFileSync(join(import.meta.dirname, '../../../docs/cli.md'), 'utf8');
/** Lines with code in them: rows of tables, headings, examples. */
const lines = text
  .replaceAll('\\|', ' ')
  .split('\n')
  .filter((line) => line.includes('`') || line.startsWith('./offload'));

/** `guest drain` may stand as `guest inspect|drain`: all its words are in one line. */
const isTold = (words: readonly string[]): boolean =>
  lines.some((line) => words.every((word) => line.split(/[^a-z-]+/).includes(word)));

function verbsOf(command: Command, path: readonly string[] = []): string[][] {
  return command.commands.flatMap((verb) => {
    const words = [...path, verb.name()];
    return [words, ...verbsOf(verb, words)];
  });
}

test('docs/cli.md tells of every verb', () => {
  const program = new Command('offload').enablePositionalOptions();
  addUpCommands(program);
  addPlaneCommands(program);
  addStoreCommands(program);
  const verbs = verbsOf(program);
  assert.ok(verbs.length > 40);
  assert.equal(
    verbs.filter((words) => !isTold(words)).map((words) => words.join(' ')),
    [],
  );
});

test.run();
