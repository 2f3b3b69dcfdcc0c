/** Changes single fields of an encoded message; everything else stays as it was written, known or not. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Every field that is not `number`, as it is. @throws {Error} what is wrong with the bytes */
function withoutField(encoded: Uint8Array, number: number): Uint8Array[] {
  const reader = new BinaryReader(encoded);
  const kept: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [found, wireType] = reader.tag();
    reader.skip(wireType, found);
    if (found !== number) kept.push(encoded.subarray(start, reader.pos));
  }
  return kept;
}

/** @throws {Error} what is wrong with the bytes */
export function withBytes(encoded: Uint8Array, number: number, value: Uint8Array): Uint8Array {
  const field = new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(value).finish();
  return Buffer.concat([...withoutField(encoded, number), field]);
}

/** @throws {Error} what is wrong with the bytes */
export function withUint32List(encoded: Uint8Array, number: number, values: readonly number[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const value of values) writer.tag(number, WireType.Varint).uint32(value);
  return Buffer.concat([...withoutField(encoded, number), writer.finish()]);
}
