/** A template: a checkpoint of a container that was warmed up once, to start others from. */
import { type Static, Type } from 'typebox';
import { runOptions } from '../containers/options.ts';
import { Policies } from '../containers/policies.ts';
import { Name, Ports, strict, Timestamp } from '../http-api/schemas/common.ts';
import { ContainerBody } from '../http-api/schemas/containers.ts';
import { warmUpFields } from '../probes/probe.ts';

/** What its container is made with, but for its names and place. */
const Options = Type.Object(
  {
    tenant: ContainerBody.properties.tenant,
    command: ContainerBody.properties.command,
    env: ContainerBody.properties.env,
    ...runOptions,
    ports: Type.Optional(Ports),
  },
  strict,
);

const facts = {
  name: Name,
  image: Type.String({ maxLength: 256 }),
  options: Type.Optional(Options),
  ...warmUpFields,
};

export const TemplateBody = Type.Object(
  { ...facts, guest: Type.String({ ...Name, description: 'where it is built' }) },
  strict,
);
export type TemplateRequest = Static<typeof TemplateBody>;

export const TemplateRecord = Type.Object(
  {
    ...facts,
    checkpoint: Type.String(),
    createdAt: Timestamp,
    workingSetPageCount: Type.Optional(
      Type.Integer({ description: 'pages that a start from it touches first; absent when it touched none' }),
    ),
  },
  strict,
);
export type TemplateRecord = Static<typeof TemplateRecord>;

/** One that is being built. */
export const TemplateBuild = Type.Object({ name: Name }, strict);

export const TemplateRunBody = Type.Object(
  {
    name: Type.Optional(Name),
    guest: Type.Optional(Name),
    ports: Type.Optional(Ports),
    autoRemove: Policies.properties.autoRemove,
  },
  strict,
);
export type TemplateRunRequest = Static<typeof TemplateRunBody>;
