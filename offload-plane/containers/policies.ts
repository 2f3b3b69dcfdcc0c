/** What the plane does for a container unasked. */
import { type Static, Type } from 'typebox';
import { probeWith } from '../probes/probe.ts';

const strict = { additionalProperties: false } as const;

export const RestartPolicy = Type.Object(
  {
    name: Type.Union([
      Type.Literal('no'),
      Type.Literal('on-failure'),
      Type.Literal('always'),
      Type.Literal('unless-stopped'),
    ]),
    /** Of `on-failure`: so many restarts in a row. */
    maxRetries: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  },
  strict,
);
export type RestartPolicy = Static<typeof RestartPolicy>;

const LIMITS = {
  intervalMs: { minimum: 100, maximum: 86_400_000 },
  timeoutMs: { minimum: 10, maximum: 3_600_000 },
  retries: { minimum: 1, maximum: 1_000 },
  startPeriodMs: { minimum: 0, maximum: 86_400_000 },
};
const timing = {
  intervalMs: Type.Optional(Type.Integer({ ...LIMITS.intervalMs, description: 'default 30000' })),
  timeoutMs: Type.Optional(Type.Integer({ ...LIMITS.timeoutMs, description: 'default 5000' })),
  retries: Type.Optional(
    Type.Integer({ ...LIMITS.retries, description: 'failures in a row that count; default 3' }),
  ),
  startPeriodMs: Type.Optional(
    Type.Integer({ ...LIMITS.startPeriodMs, description: 'failures do not count so long; default 0' }),
  ),
};
export const Probe = probeWith(timing);
export type Probe = Static<typeof Probe>;
export type ProbeTiming = { [K in keyof typeof LIMITS]?: number };

/** What an image asks for may be more often, or more seldom, than a probe can be. */
export function withinLimits(wanted: ProbeTiming): ProbeTiming {
  const within = (key: keyof typeof LIMITS, value: number) =>
    Math.min(Math.max(value, LIMITS[key].minimum), LIMITS[key].maximum);
  const keys = Object.keys(LIMITS) as (keyof typeof LIMITS)[];
  return Object.fromEntries(
    keys.flatMap((key) => (wanted[key] === undefined ? [] : [[key, within(key, wanted[key])]])),
  );
}

const OnLost = Type.Union([Type.Literal('none'), Type.Literal('restore')]);

export const Policies = Type.Object(
  {
    restart: Type.Optional(RestartPolicy),
    /** What becomes of it when its guest is lost: restored from its last checkpoint into another one. */
    onLost: Type.Optional(OnLost),
    healthCheck: Type.Optional(Probe),
    readinessProbe: Type.Optional(Probe),
    autoRemove: Type.Optional(Type.Boolean({ description: 'it is deleted when it ends' })),
    stopSignal: Type.Optional(Type.String({ pattern: '^SIG[A-Z0-9+-]{1,12}$' })),
    stopGraceMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 3_600_000 })),
  },
  strict,
);
export type Policies = Static<typeof Policies>;

export const DEFAULT_STOP_SIGNAL = 'SIGTERM';
export const DEFAULT_STOP_GRACE_MS = 10_000;
