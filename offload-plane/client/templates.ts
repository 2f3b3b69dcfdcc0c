/** Calls about templates. */
import type { ContainerView } from '../http-api/schemas/containers.ts';
import type { TemplateRecord, TemplateRequest, TemplateRunRequest } from '../templates/template.ts';
import { type PlaneConnection, part } from './connection.ts';

export const templateCalls = (plane: PlaneConnection) => {
  const at = (name: string, verb = '') => `/v1/templates/${part(name)}${verb}`;
  return {
    list: () => plane.list<TemplateRecord>('/v1/templates'),
    create: (template: TemplateRequest) => plane.postLong<TemplateRecord>('/v1/templates', template),
    inspect: (name: string) => plane.get<TemplateRecord>(at(name)),
    remove: (name: string) => plane.remove(at(name)),
    /** Starts a container from it. */
    run: (name: string, container: TemplateRunRequest) =>
      plane.post<ContainerView>(at(name, '/run'), container),
  };
};
