/** Calls about guests. */
import type { GuestRegistration } from '../guests/guest.ts';
import type { DrainResult, GuestView } from '../http-api/schemas/guests.ts';
import { type PlaneConnection, part } from './connection.ts';

export const guestCalls = (plane: PlaneConnection) => ({
  list: () => plane.list<GuestView>('/v1/guests'),
  register: (guest: GuestRegistration) => plane.post<GuestView>('/v1/guests', guest),
  inspect: (name: string) => plane.get<GuestView>(`/v1/guests/${part(name)}`),
  /** It takes no new containers from now on. */
  cordon: (name: string) => plane.post<GuestView>(`/v1/guests/${part(name)}/cordon`),
  uncordon: (name: string) => plane.post<GuestView>(`/v1/guests/${part(name)}/uncordon`),
  /** Cordons it and moves its containers into other guests. */
  drain: (name: string, rest: 'leave' | 'stop' = 'leave') =>
    plane.postLong<DrainResult>(`/v1/guests/${part(name)}/drain`, { rest }),
  remove: (name: string) => plane.remove(`/v1/guests/${part(name)}`),
});
