/** Nested lines, drawn as tree(1) draws them. */

export interface Tree {
  text: string;
  children?: readonly Tree[];
}

/** Names and paths come from a guest: what would move a terminal's cursor is shown as an escape. */
export function formatTree(root: Tree): string {
  return `${lines(root, '', '').join('\n')}\n`;
}

function lines({ text, children = [] }: Tree, first: string, rest: string): string[] {
  const own = `${first}${printable(text)}`;
  const last = children.length - 1;
  return [
    own,
    ...children.flatMap((child, i) =>
      i === last ? lines(child, `${rest}└─ `, `${rest}   `) : lines(child, `${rest}├─ `, `${rest}│  `),
    ),
  ];
}

const printable = (text: string): string =>
  text.replace(/\p{C}/gu, (letter) => JSON.stringify(letter).slice(1, -1));
