/** Calls about containers; each takes a name. */
import type { ContainerStats, ProcessList } from '../../interconnect/agent-api.ts';
import type {
  ContainerBody,
  ContainerFilter,
  ContainerView,
  WaitAnswer,
} from '../http-api/schemas/containers.ts';
import { type PlaneConnection, part } from './connection.ts';

export const containerCalls = (plane: PlaneConnection) => {
  const at = (name: string, verb = '') => `/v1/containers/${part(name)}${verb}`;
  return {
    list: (filter: ContainerFilter = {}) => plane.list<ContainerView>('/v1/containers', filter),
    create: (container: ContainerBody) => plane.post<ContainerView>('/v1/containers', container),
    inspect: (name: string) => plane.get<ContainerView>(at(name)),
    start: (name: string) => plane.post<ContainerView>(at(name, '/start')),
    stop: (name: string, how: { signal?: string; graceMs?: number } = {}) =>
      plane.post<ContainerView>(at(name, '/stop'), how),
    restart: (name: string, how: { signal?: string; graceMs?: number } = {}) =>
      plane.post<ContainerView>(at(name, '/restart'), how),
    /** Answers when it has ended, however long that takes. */
    async wait(name: string): Promise<WaitAnswer> {
      for (;;) {
        const answer = await plane.post<WaitAnswer>(at(name, '/wait'));
        if (answer.phase === 'stopped' || answer.phase === 'lost') return answer;
      }
    },
    top: (name: string) => plane.get<ProcessList>(at(name, '/top')),
    kill: (name: string, signal: string) => plane.post<ContainerView>(at(name, '/kill'), { signal }),
    rename: (name: string, newName: string) =>
      plane.post<ContainerView>(at(name, '/rename'), { name: newName }),
    pause: (name: string) => plane.post<ContainerView>(at(name, '/pause')),
    resume: (name: string) => plane.post<ContainerView>(at(name, '/resume')),
    /** One that runs is refused without force. */
    remove: (name: string, { force = false } = {}) => plane.remove(at(name), force ? { force: 'true' } : {}),
    stats: (name: string) => plane.get<ContainerStats>(at(name, '/stats')),
    async logs(name: string): Promise<string> {
      return await (await plane.send({ method: 'GET', path: at(name, '/logs') })).body.text();
    },
  };
};
