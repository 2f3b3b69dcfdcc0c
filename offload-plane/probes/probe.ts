/** What says that a container is ready, and what warms it up: requests to its ports, and programs in it. */
import { type Static, type TProperties, Type } from 'typebox';

const strict = { additionalProperties: false } as const;
const Port = Type.Integer({ minimum: 1, maximum: 65_535 });
const HttpPath = Type.String({ pattern: '^/[\\x21-\\x7e]*$', maxLength: 2_048 });
/** As many words as an image's health check may have. */
const Command = Type.Array(Type.String({ maxLength: 4_096 }), { minItems: 1, maxItems: 128 });

const HttpProbe = Type.Object(
  {
    port: Port,
    path: HttpPath,
    status: Type.Optional(
      Type.Integer({ minimum: 100, maximum: 599, description: 'default: any from 200 to 399' }),
    ),
  },
  strict,
);

const tcp = Type.Object({ port: Port }, strict);
const exec = Type.Object({ command: Command }, strict);

/** One of tcp, http and exec, each with more beside it. */
export const probeWith = <P extends TProperties>(more: P) =>
  Type.Union([
    Type.Object({ tcp, ...more }, strict),
    Type.Object({ http: HttpProbe, ...more }, strict),
    Type.Object({ exec, ...more }, strict),
  ]);

export const ReadyProbe = probeWith({});
export type ReadyProbe = Static<typeof ReadyProbe>;

const count = Type.Integer({ minimum: 1, maximum: 100_000 });
const HttpWarmUp = Type.Object(
  {
    port: Port,
    path: HttpPath,
    method: Type.Optional(Type.Union([Type.Literal('GET'), Type.Literal('HEAD'), Type.Literal('POST')])),
    body: Type.Optional(Type.String({ maxLength: 65_536 })),
  },
  strict,
);

/** Requests one after the other, each of which has to succeed. */
export const WarmUpStep = Type.Union([
  Type.Object({ http: HttpWarmUp, count }, strict),
  Type.Object({ exec, count }, strict),
]);
export type WarmUpStep = Static<typeof WarmUpStep>;

/** Before a checkpoint: wait until it is ready, then warm it up. */
export const warmUpFields = {
  ready: Type.Optional(ReadyProbe),
  readyTimeoutMs: Type.Optional(
    Type.Integer({
      minimum: 100,
      maximum: 3_600_000,
      description: 'default 60000; emulated guests get more',
    }),
  ),
  warmUp: Type.Optional(Type.Array(WarmUpStep, { maxItems: 64 })),
};
const Preparation = Type.Object(warmUpFields);
export type Preparation = Static<typeof Preparation>;

/** The ports that it goes over. */
export function portsOf({ ready, warmUp = [] }: Preparation): number[] {
  const ports = [ready, ...warmUp].flatMap((step) => {
    if (step === undefined || 'exec' in step) return [];
    return 'tcp' in step ? [step.tcp.port] : [step.http.port];
  });
  return [...new Set(ports)];
}
