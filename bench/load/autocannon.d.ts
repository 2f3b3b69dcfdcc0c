/** The part of autocannon that is used here: it comes without types. */
declare module 'autocannon' {
  export interface Request {
    method?: 'GET' | 'POST';
    path: string;
    headers?: Record<string, string>;
    body?: string;
    onResponse?: (status: number, body: string) => void;
  }
  export interface Options {
    url: string;
    socketPath: string;
    connections: number;
    /** Seconds. */
    duration: number;
    /** Requests a second over all connections. */
    overallRate: number;
    /** Seconds to wait for an answer. */
    timeout: number;
    requests: Request[];
  }
  export interface Result {
    /** Milliseconds, corrected for requests that had to wait for their turn. */
    latency: { p50: number; p90: number; p99: number; max: number };
    requests: { total: number; average: number };
    errors: number;
    timeouts: number;
    non2xx: number;
    '2xx': number;
    /** Seconds. */
    duration: number;
  }
  export default function autocannon(options: Options): PromiseLike<Result>;
}
