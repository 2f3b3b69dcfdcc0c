/** Names, paths and messages come from guests: what would command a terminal is shown as an escape. */
export const printable = (text: string): string => text.replace(/\p{C}/gu, escapeOf);

/** The same, for what may have more than one line. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

function escapeOf(letter: string): string {
  const escaped = JSON.stringify(letter).slice(1, -1);
  // JSON leaves some as they are, such as the one-byte form of ESC [, and those that turn the direction of writing.
  return escaped === letter ? `\\u{${letter.codePointAt(0)!.toString(16)}}` : escaped;
}
