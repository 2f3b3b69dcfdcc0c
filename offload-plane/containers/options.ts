/** What a request may say of how a container runs, and what the agent is told of it. */
import { type Static, Type } from 'typebox';
import type { ContainerSpec } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';
import type { ImageRunConfig } from '../images/image-record.ts';
import { capabilitiesOf } from './capabilities.ts';

const strict = { additionalProperties: false } as const;
const MAX_MOUNTS = 64;
const Destination = Type.String({ pattern: '^/[^\\x00]', maxLength: 4_096 });
const Capabilities = Type.Array(Type.String({ maxLength: 40 }), { maxItems: 64 });

export const runOptions = {
  hostname: Type.Optional(
    Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$', description: 'default: the name' }),
  ),
  workingDir: Type.Optional(Type.String({ pattern: '^/', maxLength: 4_096 })),
  user: Type.Optional(
    Type.String({
      pattern: '^[^\\s:]{1,64}(:[^\\s:]{1,64})?$',
      description: 'name or number, `:` and a group, as the image’s files have them; default: the image’s',
    }),
  ),
  entrypoint: Type.Optional(
    Type.Array(Type.String({ maxLength: 4_096 }), { maxItems: 256, description: 'in place of the image’s' }),
  ),
  terminal: Type.Optional(Type.Boolean({ description: 'its standard streams are a terminal' })),
  openStdin: Type.Optional(Type.Boolean({ description: 'standard input is open to who attaches' })),
  memoryLimitMiB: Type.Optional(Type.Integer({ minimum: 4 })),
  cpuLimitMillicores: Type.Optional(
    Type.Integer({ minimum: 10, maximum: 1_024_000, description: 'thousandths of a processor' }),
  ),
  pidLimit: Type.Optional(Type.Integer({ minimum: 1, maximum: 4_194_304, description: 'default 4096' })),
  readonlyRootfs: Type.Optional(Type.Boolean()),
  tmpfs: Type.Optional(
    Type.Array(
      Type.Object(
        {
          destination: Destination,
          sizeBytes: Type.Optional(Type.Integer({ minimum: 4_096 })),
          mode: Type.Optional(
            Type.Integer({ minimum: 0, maximum: 0o7777, description: 'default 1777 octal' }),
          ),
        },
        strict,
      ),
      { maxItems: MAX_MOUNTS },
    ),
  ),
  capabilitiesAdd: Type.Optional(Capabilities),
  capabilitiesDrop: Type.Optional(Capabilities),
  seccomp: Type.Optional(
    Type.Union([Type.Literal('default'), Type.Literal('unconfined')], {
      description: 'default: Docker’s profile. io_uring is refused in any case',
    }),
  ),
};
export const RunOptions = Type.Object(runOptions, strict);
export type RunOptions = Static<typeof RunOptions>;

type SpecOptions = Omit<ContainerSpec, 'id' | 'rootfsLun' | 'address' | 'env' | 'hostname' | 'volumes'>;

/** @throws {OffloadError} invalid_request for what the image or Linux has not */
export function specOptionsOf(
  request: RunOptions & { command?: string[] },
  config: ImageRunConfig,
  operation: string,
): SpecOptions {
  const { memoryLimitMiB, cpuLimitMillicores, pidLimit, readonlyRootfs, tmpfs, terminal, openStdin } =
    request;
  return {
    command: commandOf(request, config, operation),
    workingDir: request.workingDir ?? (config.workingDir || '/'),
    user: request.user ?? config.user,
    capabilities: capabilitiesOf(request.capabilitiesAdd, request.capabilitiesDrop),
    seccomp: request.seccomp ?? 'default',
    ...(memoryLimitMiB === undefined ? {} : { memoryLimitBytes: memoryLimitMiB * MIB }),
    ...(cpuLimitMillicores === undefined ? {} : { cpuLimitMillicores }),
    ...(pidLimit === undefined ? {} : { pidLimit }),
    ...(readonlyRootfs ? { readonlyRootfs } : {}),
    ...(tmpfs === undefined || tmpfs.length === 0 ? {} : { tmpfs }),
    ...(terminal ? { terminal } : {}),
    ...(openStdin ? { openStdin } : {}),
  };
}

/** As Docker has it: a command of its own goes behind the entrypoint; an entrypoint of its own drops the image's command. */
function commandOf(
  { command, entrypoint }: RunOptions & { command?: string[] },
  image: ImageRunConfig,
  operation: string,
): string[] {
  const whole =
    entrypoint !== undefined
      ? [...entrypoint, ...(command ?? [])]
      : command !== undefined
        ? [...(image.entrypoint ?? []), ...command]
        : image.command;
  if (whole.length > 0) return whole;
  throw new OffloadError('invalid_request', `${operation}: the image has no command and none was given`);
}
