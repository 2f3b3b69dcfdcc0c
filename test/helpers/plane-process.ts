/** A real plane in a process of its own, killed and started again over the same store. */
import { join } from 'node:path';
import { execa, type ResultPromise } from 'execa';
import { Agent, request } from 'undici';
import { pollUntil } from '../../platform/deadline.ts';
import { tempDirectory } from './temp-directory.ts';

const MAIN = join(import.meta.dirname, '../../offload-plane/main.ts');

const env = { NODE_COMPILE_CACHE: tempDirectory('compiled') };
const OPTIONS = { reject: false, stdio: 'inherit', env } as const;
const START_TIMEOUT_MS = 300_000;

/** Compiled once, started often: Node keeps what it has compiled at its end, which one that is killed does not have. */
let compiled: Promise<unknown> | undefined;
function compile(): Promise<unknown> {
  compiled ??= execa(process.execPath, [MAIN, '--help'], { ...OPTIONS, stdio: 'ignore' });
  return compiled;
}

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever JSON came
  body: any;
}

export class PlaneProcess {
  readonly #socket: string;
  readonly #store: string;
  #process: ResultPromise<typeof OPTIONS> | undefined;
  #dispatcher: Agent | undefined;

  constructor(directory: string) {
    this.#socket = join(directory, 'plane.sock');
    this.#store = join(directory, 'store');
  }

  get store(): string {
    return this.#store;
  }

  async start(): Promise<void> {
    if (this.#process !== undefined) await compile();
    const flags = ['--socket', this.#socket, '--store', this.#store, '--log-level', 'error'];
    this.#process = execa(process.execPath, [MAIN, ...flags], OPTIONS);
    this.#dispatcher = new Agent({ connect: { socketPath: this.#socket } });
    const answers = async () => (await this.send('GET', '/v1/guests')).status === 200 || undefined;
    await pollUntil(answers, { timeoutMs: START_TIMEOUT_MS, intervalMs: 10, what: 'the plane' });
  }

  kill(): void {
    this.#process?.kill('SIGKILL');
  }

  async ended(): Promise<void> {
    await this.#process;
    await this.#dispatcher?.destroy();
  }

  /** @throws when the plane ends before it has answered */
  async send(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object,
    key?: string,
    more: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await request(`http://plane${path}`, {
      dispatcher: this.#dispatcher!,
      method,
      headers: {
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...more,
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.body.text();
    const isLines = String(response.headers['content-type']).includes('ndjson');
    const parsed = isLines
      ? text
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line))
      : text && JSON.parse(text);
    return { status: response.statusCode, body: parsed };
  }
}
