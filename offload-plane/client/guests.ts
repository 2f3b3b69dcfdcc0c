/** Calls about guests. */
import type { Health } from '../../interconnect/agent-api.ts';
import type { GuestRegistration } from '../guests/guest.ts';
import { type PlaneConnection, part } from './connection.ts';

export type GuestView = GuestRegistration & {
  phase: 'ready' | 'lost';
  deadlineScale: number;
  health: Health;
};

export const guestCalls = (plane: PlaneConnection) => ({
  list: () => plane.get<GuestView[]>('/v1/guests'),
  register: (guest: GuestRegistration) => plane.post<GuestView>('/v1/guests', guest),
  inspect: (name: string) => plane.get<GuestView>(`/v1/guests/${part(name)}`),
  remove: (name: string) => plane.remove(`/v1/guests/${part(name)}`),
});
