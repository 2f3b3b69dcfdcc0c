/** Calls about containers; each takes a name. */
import type { ContainerStats } from '../../interconnect/agent-api.ts';
import type { ContainerBody, ContainerFilter, ContainerView } from '../http-api/schemas/containers.ts';
import { type PlaneConnection, part } from './connection.ts';

export const containerCalls = (plane: PlaneConnection) => {
  const at = (name: string, verb = '') => `/v1/containers/${part(name)}${verb}`;
  return {
    list: (filter: ContainerFilter = {}) => plane.list<ContainerView>('/v1/containers', filter),
    create: (container: ContainerBody) => plane.post<ContainerView>('/v1/containers', container),
    inspect: (name: string) => plane.get<ContainerView>(at(name)),
    start: (name: string) => plane.post<ContainerView>(at(name, '/start')),
    kill: (name: string, signal: string) => plane.post<ContainerView>(at(name, '/kill'), { signal }),
    rename: (name: string, newName: string) =>
      plane.post<ContainerView>(at(name, '/rename'), { name: newName }),
    pause: (name: string) => plane.post<ContainerView>(at(name, '/pause')),
    resume: (name: string) => plane.post<ContainerView>(at(name, '/resume')),
    remove: (name: string) => plane.remove(at(name)),
    stats: (name: string) => plane.get<ContainerStats>(at(name, '/stats')),
    async logs(name: string): Promise<string> {
      return await (await plane.send({ method: 'GET', path: at(name, '/logs') })).body.text();
    },
  };
};
