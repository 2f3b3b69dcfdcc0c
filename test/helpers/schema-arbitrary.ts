/** Values that a schema of the agent's API allows, and near misses of them, for fast-check. */
import fc from 'fast-check';
import type { TSchema } from 'typebox';

/** The parts of JSON Schema that the agent's API is written in. */
interface Schema {
  type?: string;
  const?: unknown;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  pattern?: string;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

const MAX_ITEMS = 4;

export function allowedBy(schema: TSchema): fc.Arbitrary<unknown> {
  return arbitraryOf(schema as Schema);
}

function arbitraryOf(schema: Schema): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(arbitraryOf));
  const { minimum, maximum } = schema;
  const range = {
    ...(minimum === undefined ? {} : { min: minimum }),
    ...(maximum === undefined ? {} : { max: maximum }),
  };
  switch (schema.type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return arrayOf(schema);
    case 'string':
      return schema.pattern
        ? fc.stringMatching(new RegExp(schema.pattern))
        : fc.string({ maxLength: Math.min(schema.maxLength ?? 64, 64) });
    case 'integer':
      return fc
        .maxSafeInteger()
        .map((value) => Math.min(Math.max(value, minimum ?? value), maximum ?? value));
    case 'number':
      return fc.double({ ...range, noNaN: true, noDefaultInfinity: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      throw new Error(`no arbitrary for ${JSON.stringify(schema)}`);
  }
}

function objectOf({ properties = {}, required = [] }: Schema): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(
    Object.entries(properties).map(([name, part]) => [name, arbitraryOf(part)]),
  );
  return fc.record(fields, { requiredKeys: required });
}

function arrayOf({ items, minItems = 0, maxItems = MAX_ITEMS, uniqueItems }: Schema): fc.Arbitrary<unknown> {
  const bounds = { minLength: minItems, maxLength: Math.max(minItems, Math.min(maxItems, MAX_ITEMS)) };
  return uniqueItems ? fc.uniqueArray(arbitraryOf(items!), bounds) : fc.array(arbitraryOf(items!), bounds);
}

/** The value with one thing wrong somewhere: a field too many, one too few, or one of another kind. */
export function nearMissOf(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc
    .tuple(value, fc.nat(), fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('add', 'drop', 'replace'))
    .map(([allowed, place, stranger, what]) => {
      if (typeof allowed !== 'object' || allowed === null || Array.isArray(allowed)) return stranger;
      const copy: Record<string, unknown> = { ...allowed };
      const names = Object.keys(copy);
      const name = names[place % Math.max(1, names.length)];
      if (what === 'add' || name === undefined) copy.stranger = stranger;
      else if (what === 'drop') delete copy[name];
      else copy[name] = stranger;
      return copy;
    });
}
