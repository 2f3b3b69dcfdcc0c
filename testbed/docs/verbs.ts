/** The verbs and flags of docs/cli.md, from the program itself. Pure. */
import type { Argument, Command, Option } from 'commander';
import { cell, table } from '../../platform/markdown.ts';

export const VERB_MARKERS = [
  '<!-- verbs: made by `npm run docs` -->',
  '<!-- verbs: end -->',
] as const satisfies [string, string];

/** What every verb has, and is told once. */
const COMMON = new Set(['--json', '--socket', '--url', '--token-file', '--help', '--version']);

interface Verb {
  path: string[];
  command: Command;
}

/** One that has another name as well, as `guests` is `guest ls`, is told once. */
export function verbReference(program: Command): string {
  const kinds = Map.groupBy(verbsOf(program), ({ command }) => bodyOf(command));
  return [...kinds].map(([body, verbs]) => sectionOf(verbs, body)).join('\n');
}

/** Those that do something, in the order of --help. */
function verbsOf(command: Command, path: readonly string[] = []): Verb[] {
  return command.commands.flatMap((verb) => {
    const words = [...path, verb.name()];
    const own = verb.registeredArguments.length > 0 || verb.commands.length === 0;
    return [...(own ? [{ path: words, command: verb }] : []), ...verbsOf(verb, words)];
  });
}

function sectionOf([verb, ...others]: readonly Verb[], body: string): string {
  const also = others.map(({ path }) => `\`offload ${path.join(' ')}\``).join(', ');
  const head = `#### \`offload ${usageOf(verb as Verb)}\``;
  return also === '' ? `${head}\n\n${body}` : `${head}\n\nAlso ${also}. ${body}`;
}

const usageOf = ({ path, command }: Verb): string =>
  [...path, ...command.registeredArguments.map(argumentOf)].join(' ');

function argumentOf(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '…' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function bodyOf(command: Command): string {
  const about = command.registeredArguments.filter(({ description }) => description);
  const words = [
    sentence(command.description()),
    ...about.map((argument) => `\`${argumentOf(argument)}\`: ${cell(argument.description)}.`),
  ].join(' ');
  const options = command.options.filter(({ long, hidden }) => !hidden && !COMMON.has(long ?? ''));
  if (options.length === 0) return `${words}\n`;
  const lines = options.map((option) => [
    `\`${cell(option.flags)}\``,
    cell(option.description) + choicesOf(option),
    defaultOf(option),
  ]);
  return `${words}\n\n${table(['option', 'meaning', 'default'], lines)}\n`;
}

const choicesOf = ({ argChoices }: Option): string =>
  argChoices === undefined ? '' : `: ${argChoices.map((choice) => `\`${choice}\``).join(', ')}`;

function defaultOf({ defaultValue, negate }: Option): string {
  if (negate || defaultValue === undefined) return '';
  return `\`${cell(typeof defaultValue === 'string' ? defaultValue : JSON.stringify(defaultValue))}\``;
}

const sentence = (text: string): string =>
  text === '' ? '' : `${text[0]?.toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`;
