/** Nested lines, drawn as tree(1) draws them. */
import { printable } from '../printable.ts';

export interface Tree {
  text: string;
  children?: readonly Tree[];
}

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
