/** The plane's HTTP API as functions, for the CLI, the testbed and the tests. */
import { Agent, request } from 'undici';
import type { ContainerStats, Health } from '../../interconnect/agent-api.ts';
import { ERROR_STATUS, type ErrorCode, OffloadError } from '../../platform/errors.ts';
import type { CheckpointView } from '../checkpoints/checkpoints.ts';
import type { ContainerView } from '../containers/container.ts';
import type { CreateRequest } from '../containers/containers.ts';
import type { GuestRegistration } from '../guests/guest.ts';
import type { ImageRecord, ImportRequest } from '../images/image-store.ts';
import type { RestoreView } from '../restores/restore.ts';
import type { RestoreRequest } from '../restores/restores.ts';

export type GuestView = GuestRegistration & {
  phase: 'ready' | 'lost';
  deadlineScale: number;
  health: Health;
};

/** The plane bounds every call itself; this is for a plane that has stopped answering. */
const ANSWER_TIMEOUT_MS = 30 * 60_000;

export function createPlaneClient(socketPath: string) {
  const dispatcher = new Agent({
    connect: { socketPath },
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
    connections: 64,
  });

  async function send(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
  ): Promise<string> {
    const hasBody = body !== undefined;
    const response = await request(`http://plane${path}`, {
      dispatcher,
      method,
      ...(hasBody ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}),
    }).catch((error: Error) => {
      throw new OffloadError('not_found', `plane at ${socketPath}: ${error.message}`, { cause: error });
    });
    const text = await response.body.text();
    if (response.statusCode >= 400) throw problem(text, `${method} ${path}`, response.statusCode);
    return text;
  }
  const get = async <T>(path: string) => JSON.parse(await send('GET', path)) as T;
  const post = async <T>(path: string, body?: unknown) => JSON.parse(await send('POST', path, body)) as T;
  const put = async <T>(path: string) => JSON.parse(await send('PUT', path)) as T;
  const remove = async (path: string) => {
    await send('DELETE', path);
  };
  const id = encodeURIComponent;

  return {
    guests: () => get<GuestView[]>('/v1/guests'),
    registerGuest: (guest: GuestRegistration) => post<GuestView>('/v1/guests', guest),
    images: () => get<ImageRecord[]>('/v1/images'),
    importImage: (image: Omit<ImportRequest, 'signal'>) => post<ImageRecord>('/v1/images', image),
    removeImage: (name: string) => remove(`/v1/images/${id(name)}`),
    containers: () => get<ContainerView[]>('/v1/containers'),
    inspectContainer: (name: string) => get<ContainerView>(`/v1/containers/${id(name)}`),
    createContainer: (container: CreateRequest) => post<ContainerView>('/v1/containers', container),
    startContainer: (name: string) => post<ContainerView>(`/v1/containers/${id(name)}/start`),
    killContainer: (name: string, signal: string) =>
      post<ContainerView>(`/v1/containers/${id(name)}/kill`, { signal }),
    pauseContainer: (name: string) => post<ContainerView>(`/v1/containers/${id(name)}/pause`),
    resumeContainer: (name: string) => post<ContainerView>(`/v1/containers/${id(name)}/resume`),
    removeContainer: (name: string) => remove(`/v1/containers/${id(name)}`),
    containerStats: (name: string) => get<ContainerStats>(`/v1/containers/${id(name)}/stats`),
    containerLogs: (name: string) => send('GET', `/v1/containers/${id(name)}/logs`),
    checkpoints: () => get<CheckpointView[]>('/v1/checkpoints'),
    createCheckpoint: (checkpoint: {
      container: string;
      id: string;
      after: 'stop' | 'resume';
      parent?: string;
      preDumpRounds?: number;
    }) => post<CheckpointView>('/v1/checkpoints', checkpoint),
    inspectCheckpoint: (checkpoint: string) => get<CheckpointView>(`/v1/checkpoints/${id(checkpoint)}`),
    pinCheckpoint: (checkpoint: string) => put<CheckpointView>(`/v1/checkpoints/${id(checkpoint)}/pin`),
    unpinCheckpoint: async (checkpoint: string) =>
      JSON.parse(await send('DELETE', `/v1/checkpoints/${id(checkpoint)}/pin`)) as CheckpointView,
    removeCheckpoint: (checkpoint: string) => remove(`/v1/checkpoints/${id(checkpoint)}`),
    restores: () => get<RestoreView[]>('/v1/restores'),
    restore: (restore: RestoreRequest) => post<RestoreView>('/v1/restores', restore),
    inspectRestore: (restore: string) => get<RestoreView>(`/v1/restores/${id(restore)}`),
    compareMemory: (restore: string) => post<RestoreView>(`/v1/restores/${id(restore)}/memory-comparison`),
    metrics: () => send('GET', '/metrics'),
    close: () => dispatcher.close(),
  };
}
export type PlaneClient = ReturnType<typeof createPlaneClient>;

/** A problem+json body as the error it was. */
function problem(text: string, operation: string, status: number): OffloadError {
  try {
    const { title, detail } = JSON.parse(text) as { title: string; detail: string };
    if (Object.hasOwn(ERROR_STATUS, title)) return new OffloadError(title as ErrorCode, detail);
  } catch {
    // No problem+json: said below.
  }
  return new OffloadError('internal', `${operation}: the plane answered with status ${status}`);
}
