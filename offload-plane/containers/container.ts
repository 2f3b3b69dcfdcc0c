/** A container as the plane knows it. */
import { ContainerPhase, type ContainerSpec } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { Policies } from './policies.ts';
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
export const PLANE_PHASES: readonly PlanePhase[] = [
  ...ContainerPhase.anyOf.map((phase) => phase.const),
  'lost',
];

export interface PublishedPort {
  hostPort: number;
  containerPort: number;
}

/** The dump since which the kernel notes what changes of a container's memory; see checkpoints/lineage.ts. */
export interface TrackedDump {
  /** Of the checkpoint that has its pages. */
  id: string;
  /** By which the agent knows it. */
  token: string;
  /** Of the checkpoint: another one may get its name. */
  digest: string;
}

/** Where a restored container comes from. The checkpoint may be gone. */
export interface RestoreOrigin {
  checkpoint: string;
  /** What the checkpoint was taken of, by its name then. */
  container: string;
}

/** What is on record of a container: it outlives the plane. */
export interface ContainerState {
  name: string;
  readonly guest: string;
  readonly recipe: ContainerRecipe;
  phase: PlanePhase;
  exitCode?: number;
  ports: PublishedPort[];
  policies: Policies;
  labels: Record<string, string>;
  /** What its user wants: a container that was stopped is not started again by itself. */
  desired: 'running' | 'stopped';
  /** Starts by the restart policy since it last ran for long. */
  restartCount: number;
  createdAtMs: number;
  startedAtMs?: number;
  finishedAtMs?: number;
  /** From which it can be brought back. */
  lastCheckpoint?: string;
  restoredFrom?: RestoreOrigin;
  trackedDump?: TrackedDump | undefined;
}

export type Health = 'starting' | 'healthy' | 'unhealthy';

export interface Container extends ContainerState {
  /** Its own for ever, and the only one the agent knows: 12 hex digits. */
  readonly id: string;
  readonly recorder: Recorder;
  forwards: PortForward[];
  /** Wakes clients that are held until the container runs; called with an error when it never will. */
  onPhase: Set<(phase: PlanePhase) => void>;
  /** Called once, at the first byte the container sends on a published port after a restore. */
  onFirstResponse?: (() => void) | undefined;
  /** What its probes say, since it was started. */
  health?: Health | undefined;
  ready?: boolean | undefined;
}

/** Writes a change to disk, and only then lets it be so. */
export interface Recorder {
  change(container: Container, patch: Partial<ContainerState>): void;
}

export function setPhase(container: Container, phase: PlanePhase, patch: Partial<ContainerState> = {}): void {
  container.recorder.change(container, { ...patch, phase });
}

/** @throws {OffloadError} invalid_state */
export function expectPhase(container: Container, operation: string, ...phases: PlanePhase[]): void {
  if (phases.includes(container.phase)) return;
  throw new OffloadError(
    'invalid_state',
    `${operation} container ${container.name}: it is ${container.phase}, not ${phases.join(' or ')}`,
  );
}

/** The agent knows the id only; people know the name. */
export function named(error: unknown, { id, name }: Container): unknown {
  if (!(error instanceof OffloadError)) return error;
  return new OffloadError(error.code, error.message.replaceAll(id, name), { cause: error });
}
