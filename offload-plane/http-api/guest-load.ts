/** /v1/guests/:name/load */
import { Type } from 'typebox';
import { expectAlive, type Guest } from '../guests/guest.ts';
import { createLoadHistory, type GuestLoad, type LoadHistory } from '../guests/load-history.ts';
import type { Plane } from '../plane.ts';
import { NameParams, strict } from './schemas/common.ts';
import type { App } from './server.ts';

/** Unscaled; multiplied by the guest's deadlineScale. */
const CALL_TIMEOUT_MS = 5_000;
const Percent = Type.Number({ description: 'percent of the last 10 s in which something waited for it' });

const GuestLoadAnswer = Type.Array(
  Type.Object(
    {
      atMs: Type.Number({ description: 'milliseconds since the epoch' }),
      memoryTotalBytes: Type.Integer(),
      memoryAvailableBytes: Type.Integer(),
      cpuShare: Type.Number({ description: 'of all processors, since the sample before; 0 to 1' }),
      pressure: Type.Optional(Type.Object({ cpu: Percent, memory: Percent, io: Percent }, strict)),
    },
    strict,
  ),
);

export function guestLoadRoutes(app: App, { guests }: Plane): void {
  const histories = new WeakMap<Guest, LoadHistory>();

  function historyOf(guest: Guest): LoadHistory {
    const known = histories.get(guest);
    if (known) return known;
    const timeoutMs = CALL_TIMEOUT_MS * guest.deadlineScale;
    const history = createLoadHistory({
      ask: () => guest.agent.call('guestLoad', undefined, { timeoutMs }),
      wallMs: () => Date.now(),
    });
    histories.set(guest, history);
    return history;
  }

  app.get(
    '/v1/guests/:name/load',
    {
      schema: {
        summary: "A guest's load over the last minutes in which it was asked for",
        params: NameParams,
        response: { 200: GuestLoadAnswer },
      },
    },
    async (request): Promise<GuestLoad[]> => {
      const guest = guests.get(request.params.name);
      expectAlive(guest, `load of guest ${guest.registration.name}`);
      return await historyOf(guest).read();
    },
  );
}
