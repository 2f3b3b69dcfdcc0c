/** Schemas that many routes share, described once in the API's description and named wherever they occur. */
import { isDeepStrictEqual } from 'node:util';
import type { TSchema } from 'typebox';
import { ContainerStats } from '../../interconnect/agent-api.ts';
import { OperationView } from '../operations/operation.ts';
import { TemplateRecord } from '../templates/template.ts';
import { CheckpointView } from './schemas/checkpoints.ts';
import { Problem } from './schemas/common.ts';
import { ContainerView } from './schemas/containers.ts';
import { ExecView } from './schemas/execs.ts';
import { GuestView } from './schemas/guests.ts';
import { ImageView } from './schemas/images.ts';
import { RestoreView } from './schemas/restores.ts';
import { VolumeView } from './schemas/volumes.ts';

const SHARED: Record<string, TSchema> = {
  Checkpoint: CheckpointView,
  Container: ContainerView,
  Exec: ExecView,
  Guest: GuestView,
  Image: ImageView,
  Operation: OperationView,
  Problem,
  Restore: RestoreView,
  Stats: ContainerStats,
  Template: TemplateRecord,
  Volume: VolumeView,
};

/** As it is written: without what JSON does not show, and with a constant as one, which swagger makes an enumeration of. */
const plain = (value: object): object =>
  JSON.parse(JSON.stringify(value), (_key, part) => {
    if (!Array.isArray(part?.enum) || part.enum.length !== 1) return part;
    const { enum: values, ...rest } = part;
    return { ...rest, const: values[0] };
  }) as object;

/** As swagger leaves it: it knows no patterns of names. */
const withoutPatterns = (value: object): object =>
  JSON.parse(JSON.stringify(value), (_key, part) => {
    const { patternProperties, ...rest } = (part ?? {}) as { patternProperties?: Record<string, object> };
    if (patternProperties === undefined) return part;
    return { ...rest, additionalProperties: Object.values(patternProperties)[0] };
  }) as object;

/** The same description, with a `$ref` in the place of each copy of a shared schema. */
export function nameSchemas(description: object): object {
  const shared = Object.entries(SHARED).map(
    ([name, schema]) => [name, withoutPatterns(plain(schema))] as const,
  );
  const replace = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(replace);
    if (typeof value !== 'object' || value === null) return value;
    const known = shared.find(([, schema]) => isDeepStrictEqual(schema, value));
    if (known) return { $ref: `#/components/schemas/${known[0]}` };
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, replace(entry)]));
  };
  const { components, ...rest } = plain(description) as { components?: object };
  return { ...(replace(rest) as object), components: { ...components, schemas: Object.fromEntries(shared) } };
}
