/** From a request and its image to what a container is made from. */
import { isSignal, signalNumber } from '../../interconnect/signals.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { ImageRecord } from '../images/image-store.ts';
import { type ContainerRecipe, DEFAULT_TENANT, type PortRequest, type VolumeMount } from './container.ts';
import { type RunOptions, specOptionsOf } from './options.ts';
import { type Policies, withinLimits } from './policies.ts';

export interface CreateRequest extends Policies, RunOptions {
  /** One is made up for a container without. */
  name?: string;
  /** Where the most memory is free, for a container that names none. */
  guest?: string;
  image: string;
  tenant?: string;
  command?: string[];
  env?: string[];
  ports?: PortRequest[];
  /** A volume that is not there is made. */
  volumes?: VolumeMount[];
  labels?: Record<string, string>;
}

/** @throws {OffloadError} invalid_request for what the image or Linux has not */
export function recipeOf(
  name: string,
  request: CreateRequest,
  image: ImageRecord,
  address: string,
): ContainerRecipe {
  return {
    tenant: request.tenant ?? DEFAULT_TENANT,
    image: request.image,
    imageDigest: image.digest,
    containerPorts: (request.ports ?? []).map((port) => port.containerPort),
    ...(request.volumes?.length ? { volumes: request.volumes } : {}),
    spec: {
      hostname: request.hostname ?? hostnameOf(name),
      env: mergeEnv(image.config.env, request.env ?? []),
      address,
      ...specOptionsOf(request, image.config, `create container ${name}`),
    },
  };
}

/**
 * What the image wants holds where the request says nothing.
 * @throws {OffloadError} invalid_request for what excludes each other
 */
export function policiesOf(request: CreateRequest, { config }: ImageRecord): Policies {
  const { restart, onLost, readinessProbe, stopGraceMs, autoRemove } = request;
  if (autoRemove && (restart?.name ?? 'no') !== 'no') {
    throw new OffloadError(
      'invalid_request',
      `create container of image ${request.image}: one that is deleted at its end (autoRemove) is not restarted`,
    );
  }
  const stopSignal = stopSignalOf(request, config);
  const healthCheck = request.healthCheck ?? healthCheckOf(config);
  return {
    ...(restart === undefined ? {} : { restart }),
    ...(onLost === undefined ? {} : { onLost }),
    ...(healthCheck === undefined ? {} : { healthCheck }),
    ...(readinessProbe === undefined ? {} : { readinessProbe }),
    ...(autoRemove ? { autoRemove } : {}),
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(stopGraceMs === undefined ? {} : { stopGraceMs }),
  };
}

/** @throws {OffloadError} invalid_request for one that Linux does not have; of an image it is left out */
function stopSignalOf({ image, stopSignal }: CreateRequest, config: ImageRecord['config']) {
  if (stopSignal !== undefined) signalNumber(stopSignal, `create container of image ${image}: stop signal`);
  // An earlier plane may have kept whatever the image said.
  return stopSignal ?? (isSignal(config.stopSignal ?? '') ? config.stopSignal : undefined);
}

function healthCheckOf({ healthcheck }: ImageRecord['config']): Policies['healthCheck'] {
  if (healthcheck === undefined) return undefined;
  const { command, ...timing } = healthcheck;
  return { exec: { command }, ...withinLimits(timing) };
}

/** A container's name may have what a host's name may not. */
export const hostnameOf = (name: string): string => name.replaceAll('_', '-');

/** A variable that is asked for takes the place of the image's of the same name. */
function mergeEnv(base: readonly string[], wanted: readonly string[]): string[] {
  const nameOf = (variable: string) => variable.slice(0, variable.indexOf('='));
  const names = new Set(wanted.map(nameOf));
  return [...base.filter((variable) => !names.has(nameOf(variable))), ...wanted];
}
