/** A container as the plane records it. */
import type { ContainerPhase, ContainerSpec } from '../../interconnect/agent-api.ts';
import type { PortForward } from './port-forward.ts';

export interface PortRequest {
  containerPort: number;
  /** 0 or absent: a free one. */
  hostPort?: number;
}

/** Of containers for which none is named. */
export const DEFAULT_TENANT = 'default';

/** What of a container goes into a checkpoint's manifest, enough to make it again elsewhere. */
export interface ContainerRecipe {
  /** Whose it is: only checkpoints of one tenant share pages. */
  tenant: string;
  image: string;
  imageDigest: string;
  spec: Omit<ContainerSpec, 'id' | 'rootfsLun' | 'volumes'>;
  containerPorts: number[];
  /** Absent in recipes of containers without any. */
  volumes?: VolumeMount[];
}

/** A volume of the plane's in a container. */
export interface VolumeMount {
  name: string;
  /** Where the container sees it. */
  destination: string;
  readOnly: boolean;
}

/** The plane's phases are the agent's, and `lost` when its guest is gone. */
export type PlanePhase = ContainerPhase | 'lost';

export interface Container {
  /** Its own for ever, and the only one the agent knows: 12 hex digits. */
  readonly id: string;
  name: string;
  readonly guest: string;
  readonly recipe: ContainerRecipe;
  phase: PlanePhase;
  exitCode?: number;
  forwards: PortForward[];
  /** Wakes clients that are held until the container runs; called with an error when it never will. */
  onPhase: Set<(phase: PlanePhase) => void>;
  /** Called once, at the first byte the container sends on a published port after a restore. */
  onFirstResponse?: (() => void) | undefined;
}

export interface ContainerView {
  id: string;
  name: string;
  guest: string;
  tenant: string;
  image: string;
  phase: PlanePhase;
  address: string;
  exitCode?: number;
  ports: { hostAddress: string; hostPort: number; containerPort: number }[];
}

export function viewOf(container: Container): ContainerView {
  const { id, name, guest, recipe, phase, exitCode, forwards } = container;
  return {
    id,
    name,
    guest,
    tenant: recipe.tenant,
    image: recipe.image,
    phase,
    address: recipe.spec.address.replace(/\/.*/, ''),
    ...(exitCode === undefined ? {} : { exitCode }),
    ports: forwards.map(({ hostAddress, hostPort, containerPort }) => ({
      hostAddress,
      hostPort,
      containerPort,
    })),
  };
}

export function setPhase(container: Container, phase: PlanePhase): void {
  container.phase = phase;
  for (const listener of [...container.onPhase]) listener(phase);
}
