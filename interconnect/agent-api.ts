/**
 * Every call of the guest's agent: method, path, request and response. The agent validates against these
 * schemas, the plane's client is typed by them, and both refuse fields they do not know.
 * HTTP/2 without TLS over one interconnect connection; identity is the socket.
 */
import { type Static, type TSchema, Type } from 'typebox';
import {
  CheckpointFinish,
  CheckpointFinished,
  CheckpointRequest,
  CheckpointResult,
  PreDumpRequest,
  PreDumpResult,
  RestoreRequest,
  RestoreResult,
} from './checkpoint-api.ts';
import { ContainerSpec, ContainerState } from './container-api.ts';
import { execCalls, stdioStreams } from './exec-api.ts';
import { ContainerStats, GuestLoad, Health, ProcessList } from './report-api.ts';

export * from './checkpoint-api.ts';
export * from './container-api.ts';
export * from './report-api.ts';

const strict = { additionalProperties: false } as const;

/** Raised with every change of these calls that one end of another version would take amiss. */
export const AGENT_API_VERSION = 3;
/** Names a call that changes something: the agent gives a repeated one the first answer and does nothing again. */
export const REQUEST_ID_HEADER = 'x-request-id';
export const RequestId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });

const Empty = Type.Object({}, strict);
/** A name, with or without SIG, or a number. */
const Signal = Type.String({ pattern: '^((SIG)?[A-Z0-9]{2,8}([+-][0-9]{1,2})?|[0-9]{1,2})$' });

interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: TSchema;
  response?: TSchema;
}

/** Calls with JSON bodies. */
export const agentCalls = {
  health: { method: 'GET', path: '/v1/health', response: Health },
  guestLoad: { method: 'GET', path: '/v1/load', response: GuestLoad },
  listContainers: { method: 'GET', path: '/v1/containers', response: Type.Array(ContainerState) },
  createContainer: { method: 'POST', path: '/v1/containers', body: ContainerSpec, response: ContainerState },
  inspectContainer: { method: 'GET', path: '/v1/containers/:id', response: ContainerState },
  startContainer: { method: 'POST', path: '/v1/containers/:id/start', body: Empty, response: ContainerState },
  killContainer: {
    method: 'POST',
    path: '/v1/containers/:id/kill',
    body: Type.Object({ signal: Signal }, strict),
    response: ContainerState,
  },
  pauseContainer: { method: 'POST', path: '/v1/containers/:id/pause', body: Empty, response: ContainerState },
  resumeContainer: {
    method: 'POST',
    path: '/v1/containers/:id/resume',
    body: Empty,
    response: ContainerState,
  },
  /** Of a stopped one: its writable layer stays, all else is as the new specification says. */
  recreateContainer: {
    method: 'POST',
    path: '/v1/containers/:id/recreate',
    body: ContainerSpec,
    response: ContainerState,
  },
  /** Of a stopped one: its volumes are unmounted and may go to another guest; `recreate` brings them back. */
  releaseVolumes: {
    method: 'POST',
    path: '/v1/containers/:id/volumes/release',
    body: Empty,
    response: ContainerState,
  },
  deleteContainer: { method: 'DELETE', path: '/v1/containers/:id', response: Empty },
  containerStats: { method: 'GET', path: '/v1/containers/:id/stats', response: ContainerStats },
  listProcesses: { method: 'GET', path: '/v1/containers/:id/processes', response: ProcessList },
  preDumpContainer: {
    method: 'POST',
    path: '/v1/containers/:id/pre-dump',
    body: PreDumpRequest,
    response: PreDumpResult,
  },
  checkpointContainer: {
    method: 'POST',
    path: '/v1/containers/:id/checkpoint',
    body: CheckpointRequest,
    response: CheckpointResult,
  },
  finishCheckpoint: {
    method: 'POST',
    path: '/v1/containers/:id/checkpoint/finish',
    body: CheckpointFinish,
    response: CheckpointFinished,
  },
  restoreContainer: {
    method: 'POST',
    path: '/v1/containers/:id/restore',
    body: RestoreRequest,
    response: RestoreResult,
  },
  ...execCalls,
} as const satisfies Record<string, Call>;

/**
 * Calls whose body or answer is a stream:
 * - checkpointFiles: CRIU's metadata images under images/ and the root filesystem's changes as
 *   rootfs-diff.tar, as one tar.
 * - putImages: the same tar, staged for a restore.
 * - compareMemory: request is offload-memcheck's binary index, answer a MemoryComparison. The container
 *   stands still while it is compared.
 * - connectPort: a byte stream to a TCP port of the container, both ways.
 * - events: AgentEvent as one JSON a line, from a sequence on.
 * - logs: the container's output, as conmon's k8s-file lines; `?follow=&tailLines=&sinceMs=`.
 */
export const agentStreams = {
  checkpointFiles: { method: 'GET', path: '/v1/containers/:id/checkpoint/files' },
  putImages: { method: 'PUT', path: '/v1/containers/:id/restore-images' },
  compareMemory: { method: 'POST', path: '/v1/containers/:id/memory-comparison' },
  connectPort: { method: 'POST', path: '/v1/containers/:id/ports/:port' },
  events: { method: 'GET', path: '/v1/events' },
  logs: { method: 'GET', path: '/v1/containers/:id/logs' },
  ...stdioStreams,
} as const satisfies Record<string, Call>;

export type AgentCall = keyof typeof agentCalls;
type BodyOf<C> = C extends { body: infer B extends TSchema } ? Static<B> : undefined;
type ResponseOf<C> = C extends { response: infer R extends TSchema } ? Static<R> : undefined;
export type AgentRequest<C extends AgentCall> = BodyOf<(typeof agentCalls)[C]>;
export type AgentResponse<C extends AgentCall> = ResponseOf<(typeof agentCalls)[C]>;

/** A call's path with its parameters put in. */
export function agentPath(path: string, params: Record<string, string | number>): string {
  return path.replace(/:([a-z]+)/g, (_, name: string) => encodeURIComponent(String(params[name])));
}
