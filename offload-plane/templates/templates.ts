/** The plane's templates: built from an image and its warm-up, kept as a pinned checkpoint, started as clones. */
import { OffloadError } from '../../platform/errors.ts';
import { expectGoingOn, type Following } from '../checkpoints/cancellation.ts';
import type { Checkpoints } from '../checkpoints/checkpoints.ts';
import type { Containers } from '../containers/containers.ts';
import { type ContainerView, viewOf } from '../containers/view.ts';
import type { Guests } from '../guests/guests.ts';
import type { Logger } from '../logger.ts';
import type { Answers } from '../operations/answers.ts';
import { prepareContainer } from '../probes/prepare-container.ts';
import { portsOf } from '../probes/probe.ts';
import type { Restores } from '../restores/restores.ts';
import type { Database } from '../state/database.ts';
import { openDocuments } from '../state/documents.ts';
import { TemplateBuild, TemplateRecord, type TemplateRequest, type TemplateRunRequest } from './template.ts';

export interface TemplatesDeps {
  database: Database;
  answers: Pick<Answers, 'asPart' | 'forContainer' | 'noteResult'>;
  containers: Containers;
  checkpoints: Checkpoints;
  restores: Restores;
  guests: Guests;
  logger: Logger;
  wallMs: () => number;
}

/** Names of what a template is made of; `template-` and the name have to be a container's name. */
const MAX_NAME_LENGTH = 48;
const checkpointOf = (name: string) => `template-${name}`;
const builderOf = (name: string) => `template-${name}-build`;

export function createTemplates(deps: TemplatesDeps) {
  const { answers, containers, checkpoints, restores, guests } = deps;
  const records = openDocuments(deps.database, 'template', TemplateRecord);
  /** On record while one is built, so that the next plane knows what to clear away. */
  const builds = openDocuments(deps.database, 'template build', TemplateBuild);

  function get(name: string): TemplateRecord {
    const record = records.get(name);
    if (record === undefined)
      throw new OffloadError('not_found', `template ${name}: there is none of this name`);
    return record;
  }

  function expectFree({ name }: TemplateRequest): void {
    if (name.length > MAX_NAME_LENGTH) {
      throw new OffloadError(
        'invalid_request',
        `create template ${name}: its name has ${name.length} characters, limit ${MAX_NAME_LENGTH} characters`,
      );
    }
    if (builds.get(name) !== undefined || records.get(name) !== undefined) {
      throw new OffloadError('already_exists', `create template ${name}: the name is taken`);
    }
  }

  /** What it touches first is recorded by a start of it, warmed up as its users will. */
  async function record(request: TemplateRequest, following: Following): Promise<number | undefined> {
    const { guest, name } = request;
    following.progress?.('recording what a start from it touches');
    const ports = portsOf(request).map((containerPort) => ({ containerPort }));
    const container = builderOf(name);
    const restore = await restores.create({
      checkpoint: checkpointOf(name),
      guest,
      name: container,
      policy: 'lazy',
      record: true,
      clone: true,
      ports,
    });
    const once = request.warmUp?.map((step) => ({ ...step, count: 1 }));
    const own = { container: containers.get(container), guest: guests.get(guest), published: true };
    await prepareContainer(own, { ...request, warmUp: once }, following);
    await restores.completion(restore.id);
    expectGoingOn(following.signal, `create template ${name}`);
    return (await checkpoints.contents(checkpointOf(name))).workingSet?.pageCount;
  }

  async function build(request: TemplateRequest, following: Following): Promise<TemplateRecord> {
    const { guest, name, options = {}, ...facts } = request;
    const container = builderOf(name);
    const checkpoint = checkpointOf(name);
    following.progress?.(`starting a container of ${request.image}`);
    await containers.create({ ...options, name: container, guest, image: request.image });
    await containers.start(container);
    await checkpoints.create({ ...facts, container, id: checkpoint, after: 'stop' }, following);
    await containers.remove(container, { force: true });
    const workingSetPageCount = await record(request, following);
    await containers.remove(container, { force: true });
    await checkpoints.pin(checkpoint);
    return {
      ...facts,
      name,
      options,
      checkpoint,
      createdAt: new Date(deps.wallMs()).toISOString(),
      ...(workingSetPageCount === undefined ? {} : { workingSetPageCount }),
    };
  }

  /** What of a template is there that did not come to be, or is not wanted any more. */
  async function discard(name: string): Promise<void> {
    await ignoreMissing(containers.remove(builderOf(name), { force: true }));
    await removeCheckpoint(name);
    builds.delete(name);
  }

  async function removeCheckpoint(name: string): Promise<void> {
    await ignoreMissing(checkpoints.unpin(checkpointOf(name)));
    await ignoreMissing(checkpoints.remove(checkpointOf(name)));
  }

  return {
    get,
    list: (): TemplateRecord[] => records.list().map(({ value }) => value),
    async create(request: TemplateRequest, following: Following = {}): Promise<TemplateRecord> {
      expectFree(request);
      await expectNoCheckpoint(checkpoints, request.name);
      const { name } = request;
      builds.put(name, { name });
      try {
        const template = await answers.asPart(() => build(request, following));
        deps.database.transaction(() => {
          records.put(name, template);
          builds.delete(name);
          answers.noteResult({ path: `/v1/templates/${name}`, status: 201 });
        });
        return template;
      } catch (error) {
        // What cannot be cleared away now is at the next start.
        await discard(name).catch(() => undefined);
        throw error;
      }
    },
    async remove(name: string): Promise<void> {
      get(name);
      // Its checkpoint is refused while somebody reads it, and the template stays as it was.
      await removeCheckpoint(name).catch(async (error: Error) => {
        await ignoreMissing(checkpoints.pin(checkpointOf(name)));
        throw error;
      });
      records.delete(name);
    },
    /** Starts a container from it, with a name, an address and random numbers of its own. */
    async run(template: string, request: TemplateRunRequest): Promise<ContainerView> {
      const { checkpoint, options } = get(template);
      const published = request.ports ?? options?.ports;
      const { name, guest } = containers.place(request);
      await answers.forContainer(() =>
        restores.create({
          checkpoint,
          guest,
          name,
          clone: true,
          ...(request.autoRemove ? { like: { policies: { autoRemove: true }, labels: {} } } : {}),
          ...(published === undefined ? {} : { ports: published }),
        }),
      );
      return viewOf(containers.get(name));
    },
    /** What a plane that ended in the middle of a template has left. */
    async removeLeftovers(): Promise<void> {
      for (const { id } of builds.list()) {
        await discard(id).catch((error: Error) => {
          deps.logger.warn({ template: id, error: error.message }, 'leftovers of a template stay');
        });
      }
    },
  };
}
export type Templates = ReturnType<typeof createTemplates>;

async function expectNoCheckpoint(checkpoints: Checkpoints, name: string): Promise<void> {
  const id = checkpointOf(name);
  const taken = (await checkpoints.list()).some((checkpoint) => checkpoint.id === id);
  if (taken) throw new OffloadError('already_exists', `create template ${name}: there is a checkpoint ${id}`);
}

async function ignoreMissing(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof OffloadError && error.code === 'not_found')) throw error;
  }
}
