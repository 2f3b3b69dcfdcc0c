/** Lists in pages: items in the order of a key, and a cursor that is the key of the last one seen. */
import { type Static, type TSchema, Type } from 'typebox';
import { OffloadError } from '../../platform/errors.ts';
import { strict } from './schemas/common.ts';

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;

export const pageQuery = {
  limit: Type.Integer({ minimum: 1, maximum: MAX_PAGE_SIZE, default: DEFAULT_PAGE_SIZE }),
  cursor: Type.Optional(Type.String({ maxLength: 512, description: '`next` of the page before' })),
};
export const PageQuery = Type.Object(pageQuery, strict);
export type PageQuery = Static<typeof PageQuery>;

export const Page = <Item extends TSchema>(item: Item) =>
  Type.Object(
    {
      items: Type.Array(item),
      next: Type.Optional(Type.String({ description: 'cursor of the next page; absent on the last one' })),
    },
    strict,
  );

/**
 * Items that come or go between two pages shift no other: a page begins behind a key, not at a count.
 * @throws {OffloadError} invalid_request for a cursor that is no such list's
 */
export function pageOf<T>(
  list: { kind: string; items: readonly T[]; keyOf: (item: T) => string },
  { limit, cursor }: PageQuery,
): { items: T[]; next?: string } {
  const { kind, keyOf } = list;
  const after = cursor === undefined ? undefined : readCursor(kind, cursor);
  const rest = list.items
    .filter((item) => after === undefined || keyOf(item) > after)
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return rest.length > items.length && last ? { items, next: writeCursor(kind, keyOf(last)) } : { items };
}

function writeCursor(kind: string, key: string): string {
  return Buffer.from(`${kind}\0${key}`).toString('base64url');
}

function readCursor(kind: string, cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString();
  const key = text.slice(kind.length + 1);
  if (key === '' || writeCursor(kind, key) !== cursor) {
    throw new OffloadError('invalid_request', `list ${kind}: the cursor is not one that this list gave`);
  }
  return key;
}
