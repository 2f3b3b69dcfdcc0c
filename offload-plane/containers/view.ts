/** What the plane tells of a container. */
import type { Container, Health, PlanePhase, RestoreOrigin } from './container.ts';
import type { Policies } from './policies.ts';

export interface ContainerView {
  id: string;
  name: string;
  guest: string;
  tenant: string;
  image: string;
  phase: PlanePhase;
  address: string;
  exitCode?: number;
  terminal: boolean;
  openStdin: boolean;
  ports: { hostAddress: string; hostPort: number; containerPort: number }[];
  labels: Record<string, string>;
  policies: Policies;
  restartCount: number;
  createdAt: string;
  startedAt?: string;
  finishedAt?: string;
  lastCheckpoint?: string;
  restoredFrom?: RestoreOrigin;
  health?: Health;
  ready?: boolean;
}

export function viewOf(container: Container): ContainerView {
  const { id, name, guest, recipe, phase, exitCode, forwards, labels, policies, restartCount } = container;
  const { createdAtMs, startedAtMs, finishedAtMs, lastCheckpoint, restoredFrom } = container;
  return {
    id,
    name,
    guest,
    tenant: recipe.tenant,
    image: recipe.image,
    phase,
    address: recipe.spec.address.replace(/\/.*/, ''),
    ...(exitCode === undefined ? {} : { exitCode }),
    terminal: recipe.spec.terminal ?? false,
    openStdin: recipe.spec.openStdin ?? false,
    ports: forwards.map(({ hostAddress, hostPort, containerPort }) => ({
      hostAddress,
      hostPort,
      containerPort,
    })),
    labels,
    policies,
    restartCount,
    createdAt: timestamp(createdAtMs),
    ...(startedAtMs === undefined ? {} : { startedAt: timestamp(startedAtMs) }),
    ...(finishedAtMs === undefined ? {} : { finishedAt: timestamp(finishedAtMs) }),
    ...(lastCheckpoint === undefined ? {} : { lastCheckpoint }),
    ...(restoredFrom === undefined ? {} : { restoredFrom }),
    ...probedOf(container),
  };
}

/** Of one that runs and was not asked yet, nothing good is known. */
function probedOf({ phase, policies, health, ready }: Container): Pick<ContainerView, 'health' | 'ready'> {
  const runs = phase === 'running';
  const shownHealth = health ?? (runs && policies.healthCheck ? 'starting' : undefined);
  const shownReady = ready ?? (runs && policies.readinessProbe ? false : undefined);
  return {
    ...(shownHealth === undefined ? {} : { health: shownHealth }),
    ...(shownReady === undefined ? {} : { ready: shownReady }),
  };
}

const timestamp = (ms: number): string => new Date(ms).toISOString();
