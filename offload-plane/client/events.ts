/** Events of the plane, and of operations. */
import type { PlaneEvent } from '../journal/event.ts';
import type { OperationEvent, OperationView } from '../operations/operation.ts';
import { type PlaneConnection, part } from './connection.ts';
import { readLines } from './lines.ts';

export interface EventFilter {
  /** Those after this number, too. */
  since?: number | string | undefined;
  follow?: boolean | undefined;
  container?: string | undefined;
  guest?: string | undefined;
}

export const eventCalls = (plane: PlaneConnection) => ({
  /** As they happen; ends with the plane, or when `follow` is false with the last that is kept. */
  events: (filter: EventFilter = {}) => readLines<PlaneEvent>(plane, '/v1/events', { ...filter }),
});

export const operationCalls = (plane: PlaneConnection) => {
  const at = (id: string, verb = '') => `/v1/operations/${part(id)}${verb}`;
  return {
    list: () => plane.list<OperationView>('/v1/operations'),
    inspect: (id: string) => plane.get<OperationView>(at(id)),
    cancel: (id: string) => plane.post<OperationView>(at(id, '/cancel')),
    /** Its progress, until it ends. */
    events: (id: string) => readLines<OperationEvent>(plane, at(id, '/events')),
  };
};
