/** The plane's containers: made in guests through their agents, with their ports published here. */
import type { Duplex } from 'node:stream';
import { type AgentEvent, agentPath, agentStreams } from '../../interconnect/agent-api.ts';
import { OffloadError } from '../../platform/errors.ts';
import { expectAlive, type Guest } from '../guests/guest.ts';
import type { Guests } from '../guests/guests.ts';
import type { Images } from '../images/images.ts';
import type { Logger } from '../logger.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { type AddressPool, createAddressPool } from './addresses.ts';
import {
  type Container,
  type ContainerRecipe,
  type ContainerView,
  DEFAULT_TENANT,
  type PlanePhase,
  type PortRequest,
  setPhase,
  type VolumeMount,
  viewOf,
} from './container.ts';
import { createContainerDisks } from './container-disks.ts';
import { openPortForward, type PortForward } from './port-forward.ts';
import { createRegistry } from './registry.ts';

export interface CreateRequest {
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
}

export interface ContainersDeps {
  guests: Guests;
  images: Pick<Images, 'get'>;
  volumes: Pick<Volumes, 'get' | 'ensure'>;
  logger: Logger;
  hostAddress: string;
  randomBytes: (byteCount: number) => Buffer;
  /** Unscaled; multiplied by a guest's deadlineScale. */
  callTimeoutMs: number;
}

const MEBIBYTE = 1024 * 1024;
/** Held clients wait this many call timeouts. */
const HOLD_FACTOR = 3;

export function createContainers(deps: ContainersDeps) {
  const { guests, images, logger } = deps;
  const containers = createRegistry(deps.randomBytes);
  const addresses: AddressPool = createAddressPool();
  const disks = createContainerDisks({ ...deps, nameOf: (id) => containers.byId(id)?.name ?? id });

  const { get } = containers;

  function expectPhase(container: Container, operation: string, ...phases: PlanePhase[]): void {
    if (phases.includes(container.phase)) return;
    throw new OffloadError(
      'invalid_state',
      `${operation} container ${container.name}: it is ${container.phase}, not ${phases.join(' or ')}`,
    );
  }

  const timeoutFor = (guest: Guest) => deps.callTimeoutMs * guest.deadlineScale;

  /** Records a container; its ports take clients from now on, held until it runs. */
  async function admit(
    name: string,
    guest: Guest,
    recipe: ContainerRecipe,
    ports: readonly PortRequest[],
    phase: PlanePhase,
  ): Promise<Container> {
    containers.expectFree(name, `create container ${name}`);
    const holder = addressHolder(guest, recipe.spec.address);
    if (holder !== undefined) {
      throw new OffloadError(
        'invalid_state',
        `create container ${name}: container ${holder.name} of guest ${holder.guest} has its address ${recipe.spec.address}`,
      );
    }
    const container: Container = {
      id: containers.newId(),
      name,
      guest: guest.registration.name,
      recipe,
      phase,
      forwards: [],
      onPhase: new Set(),
    };
    containers.add(container);
    addresses.keep(recipe.spec.address);
    try {
      for (const port of ports) container.forwards.push(await publish(container, guest, port));
      return container;
    } catch (error) {
      dismiss(container);
      throw error;
    }
  }

  /** A checkpoint keeps its container's address, and a guest can have it once only. */
  const addressHolder = (guest: Guest, address: string): Container | undefined =>
    containers
      .list()
      .find(
        (other) =>
          other.guest === guest.registration.name &&
          other.recipe.spec.address === address &&
          other.phase !== 'lost',
      );

  function publish(container: Container, guest: Guest, port: PortRequest): Promise<PortForward> {
    return openPortForward({
      container: container.name,
      hostAddress: deps.hostAddress,
      hostPort: port.hostPort ?? 0,
      containerPort: port.containerPort,
      holdTimeoutMs: timeoutFor(guest) * HOLD_FACTOR,
      ready: () => untilRunning(container),
      dial: () => dial(container, guest, port.containerPort),
      onFirstResponse() {
        container.onFirstResponse?.();
        container.onFirstResponse = undefined;
      },
      onError: (error) => logger.debug({ container: container.name, error: error.message }, 'port closed'),
    });
  }

  function dial(container: Container, guest: Guest, port: number): Promise<Duplex> {
    const { method, path } = agentStreams.connectPort;
    return guest.agent.stream({
      method,
      path: agentPath(path, { id: container.id, port }),
      contentType: 'application/octet-stream',
      timeoutMs: timeoutFor(guest),
    });
  }

  /** Forgets a container: its ports close, clients that were held are let go. */
  function dismiss(container: Container): void {
    for (const forward of container.forwards) forward.close();
    container.forwards = [];
    setPhase(container, 'stopped');
    containers.remove(container);
    releaseAddress(container.recipe.spec.address);
  }

  /** As `dismiss`, for one that the agent has deleted: its disks are let go as well. */
  async function forget(container: Container): Promise<void> {
    dismiss(container);
    await disks.release(guests.find(container.guest), container);
  }

  function releaseAddress(address: string): void {
    const shared = containers.list().some((other) => other.recipe.spec.address === address);
    if (!shared) addresses.release(address);
  }

  async function recipeOf(request: CreateRequest): Promise<ContainerRecipe> {
    const image = images.get(request.image);
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
        address: addresses.take(),
        ...(request.memoryLimitMiB ? { memoryLimitBytes: request.memoryLimitMiB * MEBIBYTE } : {}),
      },
    };
  }

  return {
    get,
    idOf: containers.idOf,
    expectPhase,
    admit,
    /** Whether a container with this recipe has its address to itself in this guest. */
    canKeepAddress: (guest: Guest, recipe: ContainerRecipe): boolean =>
      addressHolder(guest, recipe.spec.address) === undefined,
    /** The recipe of another container like it: with a hostname and an address of its own. */
    recipeOfClone: (recipe: ContainerRecipe, name: string): ContainerRecipe => ({
      ...recipe,
      spec: { ...recipe.spec, hostname: hostnameOf(name), address: addresses.take() },
    }),
    /** An address that was taken for a container that did not come to be. */
    giveBack: (recipe: ContainerRecipe): void => releaseAddress(recipe.spec.address),
    timeoutFor,
    records: () => containers.list(),
    list: (): ContainerView[] => containers.list().map(viewOf),
    attachDisks: disks.attach,
    forget,
    async create(request: CreateRequest): Promise<ContainerView> {
      const guest = guests.get(request.guest);
      expectAlive(guest, `create container ${request.name}`);
      await disks.ensureVolumes(request.volumes ?? []);
      const recipe = await recipeOf(request);
      const container = await admit(request.name, guest, recipe, request.ports ?? [], 'created').catch(
        (error: unknown) => {
          releaseAddress(recipe.spec.address);
          throw error;
        },
      );
      try {
        const spec = { ...recipe.spec, id: container.id, ...(await disks.attach(guest, container)) };
        await guest.agent.call('createContainer', spec, { timeoutMs: timeoutFor(guest) });
        return viewOf(container);
      } catch (error) {
        await forget(container);
        throw error;
      }
    },
    async start(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'start', 'created');
      const guest = guests.get(container.guest);
      await guest.agent.call(
        'startContainer',
        {},
        { params: { id: container.id }, timeoutMs: timeoutFor(guest) },
      );
      // The news of its end may have come before the answer.
      if (container.phase === 'created') setPhase(container, 'running');
      return viewOf(container);
    },
    async kill(name: string, signal: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'kill', 'created', 'running', 'paused');
      const guest = guests.get(container.guest);
      await guest.agent.call(
        'killContainer',
        { signal },
        { params: { id: container.id }, timeoutMs: timeoutFor(guest) },
      );
      return viewOf(container);
    },
    async pause(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'pause', 'running');
      const guest = guests.get(container.guest);
      await guest.agent.call(
        'pauseContainer',
        {},
        { params: { id: container.id }, timeoutMs: timeoutFor(guest) },
      );
      setPhase(container, 'paused');
      return viewOf(container);
    },
    async resume(name: string): Promise<ContainerView> {
      const container = get(name);
      expectPhase(container, 'resume', 'paused');
      const guest = guests.get(container.guest);
      await guest.agent.call(
        'resumeContainer',
        {},
        { params: { id: container.id }, timeoutMs: timeoutFor(guest) },
      );
      setPhase(container, 'running');
      return viewOf(container);
    },
    /** The agent is not told: it knows the id only. */
    rename(reference: string, name: string): ContainerView {
      const container = get(reference);
      containers.expectFree(name, `rename container ${container.name} to ${name}`);
      containers.rename(container, name);
      return viewOf(container);
    },
    async remove(name: string): Promise<void> {
      const container = get(name);
      expectPhase(container, 'delete', 'created', 'running', 'paused', 'stopped', 'lost');
      const guest = guests.find(container.guest);
      if (guest && !guest.lost) {
        await guest.agent
          .call('deleteContainer', undefined, { params: { id: container.id }, timeoutMs: timeoutFor(guest) })
          .catch(ignoreNotFound);
      }
      await forget(container);
    },
    stats(name: string) {
      const container = get(name);
      const guest = guests.get(container.guest);
      return guest.agent.call('containerStats', undefined, {
        params: { id: container.id },
        timeoutMs: timeoutFor(guest),
      });
    },
    logs(name: string): Promise<Duplex> {
      const container = get(name);
      const guest = guests.get(container.guest);
      const { method, path } = agentStreams.logs;
      return guest.agent.stream({
        method,
        path: agentPath(path, { id: container.id }),
        timeoutMs: timeoutFor(guest),
      });
    },
    onAgentEvent(event: AgentEvent, guest: string): void {
      const container = containers.byId(event.container);
      if (!container || container.guest !== guest || event.event !== 'exited') return;
      if (event.exitCode !== undefined) container.exitCode = event.exitCode;
      setPhase(container, 'stopped');
    },
    onGuestLost(guest: string): void {
      for (const container of containers.list()) {
        if (container.guest === guest && container.phase !== 'stopped') setPhase(container, 'lost');
      }
    },
    close(): void {
      for (const container of containers.list()) dismiss(container);
    },
  };
}
export type Containers = ReturnType<typeof createContainers>;

/** A guest that was started anew knows nothing of its containers: then there is nothing to delete. */
function ignoreNotFound(error: unknown): void {
  if (!(error instanceof OffloadError && error.code === 'not_found')) throw error;
}

/** A container's name may have what a host's name may not. */
const hostnameOf = (name: string): string => name.replaceAll('_', '-');

/** A variable that is asked for takes the place of the image's of the same name. */
function mergeEnv(base: readonly string[], wanted: readonly string[]): string[] {
  const nameOf = (variable: string) => variable.slice(0, variable.indexOf('='));
  const names = new Set(wanted.map(nameOf));
  return [...base.filter((variable) => !names.has(nameOf(variable))), ...wanted];
}

/** @throws {OffloadError} invalid_state when it ends or is lost instead */
function untilRunning(container: Container): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = (phase: PlanePhase) => {
      if (phase === 'created' || phase === 'restoring') return;
      container.onPhase.delete(check);
      if (phase === 'stopped' || phase === 'lost') {
        reject(new OffloadError('invalid_state', `container ${container.name} is ${phase}`));
      } else {
        resolve();
      }
    };
    container.onPhase.add(check);
    check(container.phase);
  });
}
