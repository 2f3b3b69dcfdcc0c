/** The calls that the agent answers: which one a method and a path name, and what it has to be given. */
import type { ServerHttp2Stream } from 'node:http2';
import type { Static, TObject, TSchema } from 'typebox';

type Given<S> = S extends TSchema ? Static<S> : undefined;

/** A request that fits the call's schemas. */
export interface Asked<Params = unknown, Query = unknown, Body = unknown> {
  params: Params;
  query: Query;
  body: Body;
  /** Of a change, where the caller has named it. */
  requestId: string | undefined;
  /** The request's bytes, unless they were its body, and the answer's. */
  stream: ServerHttp2Stream;
}

interface Call {
  method: string;
  path: string;
  body?: TSchema;
}
interface Shape<P, Q> {
  params?: P;
  query?: Q;
}
type BodyOf<C> = C extends { body: infer B } ? Given<B> : undefined;
type Handler<P, Q, B> = (asked: Asked<Given<P>, Given<Q>, B>) => unknown;

export interface Route extends Call, Shape<TObject, TObject> {
  /** Made once, however often it is asked for under one request id. */
  isChange: boolean;
  handle(asked: Asked): unknown;
}

export interface Match {
  route: Route;
  params: Record<string, string>;
}

export function createRouter() {
  const routes: (Route & { segments: string[] })[] = [];
  const add = (route: Route) => routes.push({ ...route, segments: route.path.split('/') });

  return {
    /** One with JSON both ways. */
    call<C extends Call, P = undefined, Q = undefined>(
      call: C,
      shape: Shape<P, Q>,
      handle: Handler<P, Q, BodyOf<C>>,
    ): void {
      add({
        ...call,
        ...(shape as Shape<TObject, TObject>),
        isChange: call.method !== 'GET',
        handle: handle as never,
      });
    },
    /** One that takes the stream. What it gives is answered as JSON, unless it has answered itself. */
    stream<P = undefined, Q = undefined>(
      call: Pick<Call, 'method' | 'path'>,
      shape: Shape<P, Q>,
      handle: Handler<P, Q, undefined>,
    ): void {
      add({ ...call, ...(shape as Shape<TObject, TObject>), isChange: false, handle: handle as never });
    },
    find(method: string, path: string): Match | undefined {
      const segments = path.split('/');
      for (const route of routes) {
        if (route.method !== method) continue;
        const params = paramsOf(route.segments, segments);
        if (params) return { route, params };
      }
      return undefined;
    },
  };
}
export type Router = ReturnType<typeof createRouter>;

/** Undefined when the pattern does not fit. */
function paramsOf(pattern: string[], segments: string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, name] of pattern.entries()) {
    const segment = segments[i]!;
    if (name.startsWith(':')) params[name.slice(1)] = segment;
    else if (name !== segment) return undefined;
  }
  return params;
}
