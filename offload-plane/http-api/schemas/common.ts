/** What schemas of several nouns are made of. */
import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import { ContainerId } from '../../../interconnect/agent-api.ts';

export const strict = { additionalProperties: false } as const;

export const Path = Type.String({ pattern: '^/', maxLength: 4_096 });
export const SocketPath = Type.String({ pattern: '^/', maxLength: 107 });
export const Timestamp = Type.String({ description: 'ISO 8601, UTC' });

export const Name = ContainerId;
export const NameParams = Type.Object({ name: Name }, strict);
export const IdParams = Type.Object({ id: Type.String({ maxLength: 128 }) }, strict);

const Port = Type.Object(
  {
    containerPort: Type.Integer({ minimum: 1, maximum: 65_535 }),
    hostPort: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 65_535, description: '0 or absent takes a free one' }),
    ),
  },
  strict,
);
export const Ports = Type.Array(Port, { maxItems: 64 });

/** RFC 9457 */
export const Problem = Type.Object(
  {
    type: Type.String({ description: '`urn:offload:error:` and the code' }),
    title: Type.String({ description: 'one of the codes of docs/errors.md' }),
    status: Type.Integer(),
    detail: Type.String({ description: 'one line: operation, subject, cause, limit and unit' }),
  },
  { ...strict, description: 'What went wrong' },
);

/** Answers without a body. */
export const Nothing = Type.Unsafe<undefined>(Type.Null({ description: 'Done' }));

/** An answer that is sent as it comes; it is checked against nothing. */
export const streamOf = (contentType: string, description: string) => ({
  description,
  content: { [contentType]: { schema: Type.Unsafe<Readable>(Type.String()) } },
});
/** A body that is read as it comes, by whoever it is for. */
export const bodyOf = (contentType: string, description: string) => ({
  content: { [contentType]: { schema: Type.Unknown({ description }) } },
});
export const Text = streamOf('text/plain', 'Plain text');
