import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AgentEvent,
  agentCalls,
  agentPath,
  agentStreams,
  CheckpointRequest,
  ContainerSpec,
  ContainerState,
  RestoreRequest,
} from '../../interconnect/agent-api.ts';
import { CONTAINER_SPEC } from '../helpers/container-spec.ts';

const TOKEN = 'ab'.repeat(32);
const RESTORE = { spec: CONTAINER_SPEC, token: TOKEN, lazyPages: true, deadlineMs: 1_000 };

test('a whole specification of a container passes', () => {
  assert.ok(Value.Check(ContainerSpec, CONTAINER_SPEC));
  const everything: ContainerSpec = {
    ...CONTAINER_SPEC,
    memoryLimitBytes: 4_194_304,
    cpuLimitMillicores: 500,
    pidLimit: 10,
    terminal: true,
    openStdin: true,
    readonlyRootfs: true,
    capabilities: ['CAP_KILL'],
    seccomp: 'default',
    tmpfs: [{ destination: '/tmp', sizeBytes: 4096, mode: 0o700 }],
    volumes: [{ lun: 3, destination: '/data', readOnly: false }],
  };
  assert.ok(Value.Check(ContainerSpec, everything));
});

test('every request and every answer of the agent refuses a field it does not know', () => {
  const open: string[] = [];
  for (const [name, call] of Object.entries(agentCalls)) {
    for (const schema of [(call as { body?: TSchema }).body, call.response as TSchema]) {
      const object = (schema as { items?: TSchema })?.items ?? schema;
      if (object && (object as { additionalProperties?: boolean }).additionalProperties !== false)
        open.push(name);
    }
  }
  assert.equal(open, []);
  assert.not(Value.Check(ContainerSpec, { ...CONTAINER_SPEC, privileged: true }));
  assert.not(Value.Check(RestoreRequest, { ...RESTORE, spec: { ...CONTAINER_SPEC, hooks: [] } }));
  const event = { sequence: 1, atMs: 2, container: 'web', event: 'exited', exitCode: 0 };
  assert.ok(Value.Check(AgentEvent, event));
  assert.not(Value.Check(AgentEvent, { ...event, by: 'me' }));
  const state = { id: 'web', phase: 'running', address: '10.88.0.2/16', pid: 1 };
  assert.ok(Value.Check(ContainerState, state));
  assert.not(Value.Check(ContainerState, { ...state, phase: 'asleep' }));
});

test('names, users, addresses and LUNs that are none are refused', () => {
  const wrong: Partial<Record<keyof ContainerSpec, unknown>>[] = [
    { id: '' },
    { id: '../web' },
    { id: 'Web' },
    { id: 'a'.repeat(64) },
    { hostname: 'a b' },
    { rootfsLun: 256 },
    { rootfsLun: 1.5 },
    { command: [] },
    { command: ['x'.repeat(4_097)] },
    { workingDir: 'here' },
    { user: 'two words' },
    { user: '0:0:0' },
    { address: '10.88.0.2' },
    { address: '10.88.0.2/16; reboot' },
    { memoryLimitBytes: 1 },
    { cpuLimitMillicores: 0 },
    { pidLimit: 0 },
    { capabilities: ['NET_ADMIN'] },
    { capabilities: ['CAP_KILL', 'CAP_KILL'] },
    { seccomp: 'none' },
    { tmpfs: [{ destination: 'tmp' }] },
    { tmpfs: [{ destination: '/' }] },
    { tmpfs: [{ destination: '/tmp', mode: 0o10000 }] },
    { volumes: [{ lun: 256, destination: '/data', readOnly: true }] },
    { volumes: [{ lun: 1, destination: '/data' }] },
    { volumes: Array(65).fill({ lun: 1, destination: '/data', readOnly: true }) },
  ];
  for (const fields of wrong) {
    assert.not(
      Value.Check(ContainerSpec, { ...CONTAINER_SPEC, ...fields }),
      JSON.stringify(fields).slice(0, 80),
    );
  }
});

test('a token is 64 lower-case hex digits and a deadline at least a millisecond', () => {
  const request = { token: TOKEN, deadlineMs: 1, track: false };
  assert.ok(Value.Check(CheckpointRequest, request));
  assert.ok(Value.Check(CheckpointRequest, { ...request, parent: TOKEN }));
  for (const wrong of [
    { token: TOKEN.slice(2) },
    { token: TOKEN.toUpperCase() },
    { deadlineMs: 0 },
    { parent: 'warm' },
  ]) {
    assert.not(Value.Check(CheckpointRequest, { ...request, ...wrong }));
  }
});

test('a path has its parameters put in, encoded', () => {
  assert.is(agentPath(agentCalls.inspectContainer.path, { id: 'web' }), '/v1/containers/web');
  assert.is(agentPath(agentStreams.connectPort.path, { id: 'web', port: 80 }), '/v1/containers/web/ports/80');
  assert.is(
    agentPath(agentCalls.startContainer.path, { id: '../a b?c' }),
    '/v1/containers/..%2Fa%20b%3Fc/start',
  );
  assert.is(agentPath(agentCalls.health.path, {}), '/v1/health');
});

test.run();
