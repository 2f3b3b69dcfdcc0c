/** What is asked of a plane that is killed, drawn from what it has; and what its answer makes of that. */
import { type KilledPlane, type Model, nextName, pick, VOLUMES } from './world.ts';

export interface Step {
  kind: string;
  method: 'POST' | 'DELETE';
  path: string;
  body?: object;
  /** Answered at once with an operation. */
  isAsync?: boolean;
  /** Others leave these alone meanwhile. */
  holds: string[];
  /** It may say that this cannot be done now, and nothing has changed. */
  mayRefuse?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: of whatever kind the step is
  apply(result: any): void;
  /** It may have gone as far as it pleased, and said nothing. */
  cutOff?(): void;
}

const MAX_CONTAINERS = 5;
const MAX_CHECKPOINTS = 5;
const POLICIES = ['eager', 'lazy', 'ordered', 'prefill'];
const EVERYTHING = '*';

export function nextStep(world: KilledPlane): Step | undefined {
  const { draw, models, checkpoints, held } = world;
  if (held.has(EVERYTHING)) return undefined;
  if (world.toDrain !== undefined) return held.size > 0 ? undefined : drain(world, world.toDrain);
  const free = [...models.values()].filter(({ name }) => !held.has(name));
  const saved = [...checkpoints.keys()].filter((id) => !held.has(id));
  const isFull = models.size >= MAX_CONTAINERS;
  const kinds = [
    () => (isFull ? undefined : create(world)),
    () => (free.length > 0 ? verb(world, pick(draw, free)) : undefined),
    () => (free.length > 0 ? verb(world, pick(draw, free)) : undefined),
    () => (free.length > 0 ? verb(world, pick(draw, free)) : undefined),
    () => (saved.length > 0 && !isFull ? restore(world, pick(draw, saved)) : undefined),
    () => (saved.length > 0 && !isFull ? restore(world, pick(draw, saved)) : undefined),
    () => (saved.length > MAX_CHECKPOINTS ? removeCheckpoint(world, pick(draw, saved)) : undefined),
    () => {
      world.toDrain = pick(draw, ['guest-a', 'guest-b']);
      return undefined;
    },
  ];
  return pick(draw, kinds)();
}

function create(world: KilledPlane): Step {
  const { draw, models } = world;
  const name = nextName(world, 'c');
  const guest = pick(draw, ['guest-a', 'guest-b']);
  const volumes = draw(4) === 0 ? [{ name: pick(draw, VOLUMES), destination: '/data' }] : [];
  return {
    kind: 'create',
    method: 'POST',
    path: '/v1/containers',
    body: {
      name,
      guest,
      image: 'redis',
      ports: [{ containerPort: 80, hostPort: world.nextPort() }],
      volumes,
    },
    holds: [name],
    // The other guest may have the volume; the guest may be cordoned, as it is being drained.
    mayRefuse: true,
    apply({ id, ports }) {
      models.set(name, { name, id, guest, phase: 'created', hostPort: ports[0].hostPort });
    },
  };
}

function verb(world: KilledPlane, model: Model): Step {
  const { draw, models } = world;
  const path = `/v1/containers/${model.id ?? model.name}`;
  const post = (kind: string, apply: () => void, body: object = {}): Step => ({
    ...{ kind, method: 'POST', path: `${path}/${kind}`, body, holds: [model.name], apply },
  });
  const become = (phase: string) => () => {
    model.phase = phase;
    if (phase === 'stopped') model.parent = undefined;
  };
  const remove: Step = {
    ...{ kind: 'remove', method: 'DELETE', path: `${path}?force=true` },
    ...{ holds: [model.name], apply: () => void models.delete(model.name) },
  };
  const newName = `${model.name}x`;
  const rename = post(
    'rename',
    () => {
      models.delete(model.name);
      model.name = newName;
      models.set(newName, model);
    },
    { name: newName },
  );
  const restart = post('restart', () => {
    become('stopped')();
    become('running')();
  });
  // Another guest may have its volume by now.
  const start = { ...post('start', become('running')), mayRefuse: true };
  switch (model.phase) {
    case 'created':
      return pick(draw, [start, start, start, remove]);
    case 'running': {
      const taken = () => checkpoint(world, model);
      const others = [post('pause', become('paused')), rename, remove];
      const ends = [post('stop', become('stopped')), restart];
      return draw(2) === 0 ? taken() : pick(draw, model.isArriving ? others : [...others, ...ends]);
    }
    case 'paused':
      return pick(draw, [post('resume', become('running')), remove]);
    default:
      return pick(draw, [start, start, remove]);
  }
}

function checkpoint(world: KilledPlane, model: Model): Step {
  const { draw, checkpoints, held } = world;
  const id = nextName(world, 'k');
  const after = draw(3) === 0 ? 'stop' : 'resume';
  const preDumpRounds = draw(3) === 0 ? 1 + draw(2) : 0;
  const { parent } = model;
  const isParent = parent !== undefined && checkpoints.has(parent) && !held.has(parent) && draw(2) === 0;
  return {
    kind: `checkpoint, then ${after}`,
    method: 'POST',
    path: '/v1/checkpoints',
    body: { container: model.name, id, after, preDumpRounds, ...(isParent ? { parent } : {}) },
    isAsync: draw(3) === 0,
    holds: [model.name, id, ...(isParent ? [parent] : [])],
    // Its parent may be none any more, after one that came to nothing.
    mayRefuse: true,
    apply(view) {
      checkpoints.set(id, view);
      model.phase = after === 'stop' ? 'stopped' : 'running';
      model.parent = after === 'stop' ? undefined : id;
    },
  };
}

function restore(world: KilledPlane, id: string): Step {
  const { draw, models } = world;
  const name = nextName(world, 'r');
  const guest = pick(draw, ['guest-a', 'guest-b']);
  const hold = draw(6) === 0;
  const hostPort = world.nextPort();
  const ports = [{ containerPort: 80, hostPort }];
  return {
    kind: 'restore',
    method: 'POST',
    path: '/v1/restores',
    body: { checkpoint: id, guest, name, policy: pick(draw, POLICIES), hold, ports },
    isAsync: draw(3) === 0,
    holds: [name, id],
    // Another guest may have its volume.
    mayRefuse: true,
    apply() {
      models.set(name, { name, guest, hostPort, phase: hold ? 'paused' : 'running', isArriving: true });
    },
  };
}

function removeCheckpoint({ checkpoints }: KilledPlane, id: string): Step {
  return {
    ...{ kind: 'remove checkpoint', method: 'DELETE', path: `/v1/checkpoints/${id}`, holds: [id] },
    // A restore may still read it.
    mayRefuse: true,
    apply: () => void checkpoints.delete(id),
  };
}

/** Alone: what is in the guest is not known until it is done. */
function drain(world: KilledPlane, guest: string): Step | undefined {
  const { draw, models } = world;
  world.toDrain = undefined;
  const present = [...models.values()].filter((model) => model.guest === guest || model.guest === undefined);
  if (!present.some(({ phase }) => phase === 'running')) return undefined;
  const unsure = () => {
    for (const model of present) {
      if (model.phase !== 'running') continue;
      model.id = undefined;
      model.guest = undefined;
      model.parent = undefined;
      model.isArriving = true;
    }
  };
  return {
    kind: 'drain',
    method: 'POST',
    path: `/v1/guests/${guest}/drain`,
    body: {},
    isAsync: draw(2) === 0,
    holds: [EVERYTHING],
    apply({ moved }: { moved: { container: string; guest: string; checkpoint: string }[] }) {
      unsure();
      for (const { container, guest: there } of moved) models.get(container)!.guest = there;
    },
    cutOff: unsure,
  };
}
