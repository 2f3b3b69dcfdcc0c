/** A guest as the plane's parts see it, with an agent that answers as a test says. */
import { type Duplex, duplexPair, type Readable } from 'node:stream';
import type { AgentCall } from '../../interconnect/agent-api.ts';
import type { AgentClient, StreamCall } from '../../offload-plane/guests/agent-client.ts';
import type { Guest } from '../../offload-plane/guests/guest.ts';
import type { GuestDisks } from '../../offload-plane/guests/guest-disks.ts';
import type { Guests } from '../../offload-plane/guests/guests.ts';
import { OffloadError } from '../../platform/errors.ts';

// biome-ignore lint/suspicious/noExplicitAny: a handler takes the body of whatever call it is for
type Handler = (body: any) => unknown;

export interface FakeGuest extends Guest {
  lost: boolean;
  /** Calls in the order they came: `name id`. */
  readonly calls: string[];
  /** Answers a call from now on; a call without one gets {}. */
  on(call: AgentCall, handler: Handler): void;
  onStream(open: (call: StreamCall) => Duplex | Promise<Duplex>): void;
  onUpload(take: (call: StreamCall, body: Readable) => unknown): void;
}

export function fakeGuest(name = 'guest-a'): FakeGuest {
  const calls: string[] = [];
  const handlers = new Map<string, Handler>([['containerStats', () => ({ memoryAnonymousBytes: 0 })]]);
  let open: (call: StreamCall) => Duplex | Promise<Duplex> = () => duplexPair()[0];
  let take: (call: StreamCall, body: Readable) => unknown = (_call, body) => {
    body.resume();
    return {};
  };
  const guest = {
    registration: { name, vsockPath: '/v', qmpPath: '/q', accelerator: 'tcg', memoryMiB: 64, vcpus: 1 },
    deadlineScale: 1,
    health: { tracksChanges: true },
    lost: false,
    phase: 'ready',
    calls,
    disks: {
      hold: async () => 1,
      release: async () => {},
      releaseVolumes: async () => {},
      detach: async () => {},
      detachUnheld: async () => {},
      holdersOf: () => [],
      lost: new Promise<void>(() => {}),
      close: async () => {},
    } satisfies GuestDisks,
    agent: {
      async call(call, body, options) {
        calls.push(`${call} ${options.params?.id ?? ''}`.trim());
        if (guest.lost) throw new OffloadError('guest_lost', `${call}: guest ${name} is not connected`);
        return ((await handlers.get(call)?.(body)) ?? {}) as never;
      },
      stream: async (call) => open(call),
      upload: async (call, body) => take(call, body),
      closed: new Promise<void>(() => {}),
      dead: false,
      close() {},
    } satisfies AgentClient,
    on: (call: AgentCall, handler: Handler) => void handlers.set(call, handler),
    onStream: (handler: typeof open) => {
      open = handler;
    },
    onUpload: (handler: typeof take) => {
      take = handler;
    },
    close: async () => {},
  };
  return guest as unknown as FakeGuest;
}

export function guestsOf(...guests: FakeGuest[]): Guests {
  const find = (name: string) => guests.find((guest) => guest.registration.name === name);
  return {
    find,
    get(name: string) {
      const guest = find(name);
      if (!guest) throw new OffloadError('not_found', `guest ${name}: there is none of this name`);
      return guest;
    },
    list: () => guests,
  } as unknown as Guests;
}
