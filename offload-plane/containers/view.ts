/** What the plane tells of a container. */
import type { Container, Health, PlanePhase } from './container.ts';
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
  health?: Health;
  ready?: boolean;
}

export function viewOf(container: Container): ContainerView {
  const { id, name, guest, recipe, phase, exitCode, forwards, labels, policies, restartCount } = container;
  const { createdAtMs, startedAtMs, finishedAtMs, lastCheckpoint, health, ready } = container;
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
    ...(health === undefined ? {} : { health }),
    ...(ready === undefined ? {} : { ready }),
  };
}

const timestamp = (ms: number): string => new Date(ms).toISOString();
