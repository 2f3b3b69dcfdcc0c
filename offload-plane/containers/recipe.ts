/** From a request and its image to what a container is made from. */
import { OffloadError } from '../../platform/errors.ts';
import { MIB } from '../../platform/units.ts';
import type { ImageRecord } from '../images/image-store.ts';
import { type ContainerRecipe, DEFAULT_TENANT, type PortRequest, type VolumeMount } from './container.ts';
import type { Policies } from './policies.ts';

export interface CreateRequest extends Policies {
  name: string;
  guest: string;
  image: string;
  tenant?: string;
  command?: string[];
  env?: string[];
  memoryLimitMiB?: number;
  ports?: PortRequest[];
  /** A volume that is not there is made. */
  volumes?: VolumeMount[];
  labels?: Record<string, string>;
}

export function recipeOf(request: CreateRequest, image: ImageRecord, address: string): ContainerRecipe {
  const command = request.command ?? image.config.command;
  if (command.length === 0) {
    throw new OffloadError(
      'invalid_request',
      `create container ${request.name}: image ${request.image} has no command and none was given`,
    );
  }
  return {
    tenant: request.tenant ?? DEFAULT_TENANT,
    image: request.image,
    imageDigest: image.digest,
    containerPorts: (request.ports ?? []).map((port) => port.containerPort),
    ...(request.volumes?.length ? { volumes: request.volumes } : {}),
    spec: {
      hostname: hostnameOf(request.name),
      command,
      env: mergeEnv(image.config.env, request.env ?? []),
      workingDir: image.config.workingDir || '/',
      user: image.config.user,
      address,
      ...(request.memoryLimitMiB ? { memoryLimitBytes: request.memoryLimitMiB * MIB } : {}),
    },
  };
}

export function policiesOf(request: CreateRequest): Policies {
  const { restart, onLost, healthCheck, readinessProbe, stopSignal, stopGraceMs } = request;
  return {
    ...(restart === undefined ? {} : { restart }),
    ...(onLost === undefined ? {} : { onLost }),
    ...(healthCheck === undefined ? {} : { healthCheck }),
    ...(readinessProbe === undefined ? {} : { readinessProbe }),
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(stopGraceMs === undefined ? {} : { stopGraceMs }),
  };
}

/** A container's name may have what a host's name may not. */
export const hostnameOf = (name: string): string => name.replaceAll('_', '-');

/** A variable that is asked for takes the place of the image's of the same name. */
function mergeEnv(base: readonly string[], wanted: readonly string[]): string[] {
  const nameOf = (variable: string) => variable.slice(0, variable.indexOf('='));
  const names = new Set(wanted.map(nameOf));
  return [...base.filter((variable) => !names.has(nameOf(variable))), ...wanted];
}
