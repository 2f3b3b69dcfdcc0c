/** The last lines of an output that never ends. */
export const MAX_LINES = 2_000;
/** Of a line without an end, so much is kept. */
const MAX_LINE_LENGTH = 16_384;
/** Colours and movements of a terminal say nothing in a list of lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPES = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])|\r(?!\n)/g;

/** The lines before, and the text after them; the last line may go on. */
export function appendLines(lines: readonly string[], text: string): string[] {
  const [first = '', ...more] = text.replace(ESCAPES, '').split(/\r?\n/);
  const joined = [...lines.slice(0, -1), (lines.at(-1) ?? '') + first, ...more];
  return joined.slice(-MAX_LINES).map((line) => line.slice(-MAX_LINE_LENGTH));
}
