/** What the clients ask for, in turns: mostly reads, as a dashboard, a scheduler and people ask. */
import type { Request } from 'autocannon';

/** The share of each kind, out of 40 requests. */
const SHARES = { list: 6, inspect: 18, stats: 10, events: 5, exec: 1 };
/** A program that does nothing: what counts is the way there. */
const EXEC_BODY = JSON.stringify({ command: ['busybox', 'true'], detach: true });
const JSON_HEADERS = { 'content-type': 'application/json' };

/** Spread evenly, and over all containers. */
export function requestMix(
  containers: readonly string[],
  lastEvent: number,
  onResponse: (status: number, body: string) => void = () => {},
): Request[] {
  const total = Object.values(SHARES).reduce((sum, share) => sum + share, 0);
  const kinds = Object.entries(SHARES)
    .flatMap(([kind, share]) =>
      Array.from({ length: share }, (_, i) => ({ kind, place: ((i + 0.5) * total) / share })),
    )
    .sort((a, b) => a.place - b.place)
    .map(({ kind }) => kind as keyof typeof SHARES);
  return containers.flatMap((_, round) =>
    kinds.map((kind, i) => ({
      ...requestOf(kind, containers[(round + i) % containers.length]!, lastEvent),
      onResponse,
    })),
  );
}

function requestOf(kind: keyof typeof SHARES, container: string, lastEvent: number): Request {
  switch (kind) {
    case 'list':
      return { path: '/v1/containers?limit=100' };
    case 'inspect':
      return { path: `/v1/containers/${container}` };
    case 'stats':
      return { path: `/v1/containers/${container}/stats` };
    case 'events':
      return { path: `/v1/events?since=${lastEvent}&follow=false` };
    case 'exec':
      return {
        method: 'POST',
        path: `/v1/containers/${container}/execs`,
        headers: JSON_HEADERS,
        body: EXEC_BODY,
      };
  }
}
