/**
 * Messages of protobuf, read by field number into plain objects. A shape names the few fields that are of
 * use; everything else is skipped. What is absent has its kind's empty value, as every bit may be a guest's
 * invention.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** More elements than this has no field that CRIU writes. */
const MAX_ELEMENTS = 1 << 20;
/** The shortest message is two bytes long and costs as much as many: what is decoded together has a limit. */
const MAX_MESSAGES = 1 << 19;

/** Counts down how many more messages may be decoded. */
export interface MessageAllowance {
  left: number;
}

export const allowMessages = (): MessageAllowance => ({ left: MAX_MESSAGES });

export interface Field<T> {
  readonly number: number;
  readonly wireType: WireType;
  /** Of a list also how a run of them packed into one field is read. */
  readonly packed: boolean;
  empty(): T;
  read(reader: BinaryReader, before: T, allowance: MessageAllowance): T;
}

export type Shape = Readonly<Record<string, Field<unknown>>>;
export type Message<S extends Shape> = {
  -readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never;
};

function scalar<T>(number: number, wireType: WireType, empty: T, read: (r: BinaryReader) => T): Field<T> {
  return { number, wireType, packed: false, empty: () => empty, read };
}

export const uint32 = (number: number) => scalar(number, WireType.Varint, 0, (r) => r.uint32());
export const uint64 = (number: number) => scalar(number, WireType.Varint, 0n, (r) => BigInt(r.uint64()));
export const bool = (number: number) => scalar(number, WireType.Varint, false, (r) => r.bool());
export const text = (number: number) => scalar(number, WireType.LengthDelimited, '', (r) => r.string());
export const bytes = (number: number) =>
  scalar(number, WireType.LengthDelimited, new Uint8Array(), (r) => r.bytes());

export function uint32List(number: number): Field<number[]> {
  const read = (reader: BinaryReader, before: number[]) => grow(before, reader.uint32());
  return { number, wireType: WireType.Varint, packed: true, empty: () => [], read };
}

export function message<S extends Shape>(number: number, shape: S): Field<Message<S> | undefined> {
  const read = (reader: BinaryReader, _before: Message<S> | undefined, allowance: MessageAllowance) =>
    decodeMessage(shape, reader.bytes(), allowance);
  return { number, wireType: WireType.LengthDelimited, packed: false, empty: () => undefined, read };
}

export function messageList<S extends Shape>(number: number, shape: S): Field<Message<S>[]> {
  const read = (reader: BinaryReader, before: Message<S>[], allowance: MessageAllowance) =>
    grow(before, decodeMessage(shape, reader.bytes(), allowance));
  return { number, wireType: WireType.LengthDelimited, packed: false, empty: () => [], read };
}

function grow<T>(list: T[], element: T): T[] {
  if (list.length >= MAX_ELEMENTS) throw new RangeError(`more than ${MAX_ELEMENTS} elements`);
  list.push(element);
  return list;
}

/** Shapes nest as deep as they are written, so does what is read. @throws {Error} what is wrong with the bytes */
export function decodeMessage<S extends Shape>(
  shape: S,
  encoded: Uint8Array,
  allowance = allowMessages(),
): Message<S> {
  allowance.left -= 1;
  if (allowance.left < 0) throw new RangeError(`more than ${MAX_MESSAGES} messages to decode`);
  const reader = new BinaryReader(encoded);
  const { fields, byNumber } = tableOf(shape);
  const values: Record<string, unknown> = {};
  for (const [name, field] of fields) values[name] = field.empty();
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const found = byNumber.get(number);
    if (found === undefined) {
      reader.skip(wireType, number);
      continue;
    }
    const [name, field] = found;
    values[name] = readField(reader, { field, wireType, before: values[name], allowance });
    if (reader.pos > reader.len) throw new RangeError('premature end');
  }
  return values as Message<S>;
}

interface Table {
  fields: readonly [string, Field<unknown>][];
  byNumber: ReadonlyMap<number, [string, Field<unknown>]>;
}

/** Made once a shape: it has few messages to be read by, and very many to read. */
const tables = new WeakMap<Shape, Table>();

function tableOf(shape: Shape): Table {
  const known = tables.get(shape);
  if (known) return known;
  const fields = Object.entries(shape);
  const table = { fields, byNumber: new Map(fields.map((field) => [field[1].number, field])) };
  tables.set(shape, table);
  return table;
}

interface Found {
  field: Field<unknown>;
  wireType: WireType;
  before: unknown;
  allowance: MessageAllowance;
}

function readField(reader: BinaryReader, { field, wireType, before, allowance }: Found) {
  if (wireType === field.wireType) return field.read(reader, before, allowance);
  if (!field.packed || wireType !== WireType.LengthDelimited) {
    throw new TypeError(`field ${field.number} has wire type ${wireType}, not ${field.wireType}`);
  }
  const inner = new BinaryReader(reader.bytes());
  let value = before;
  while (inner.pos < inner.len) value = field.read(inner, value, allowance);
  return value;
}
