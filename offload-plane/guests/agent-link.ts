/**
 * An agent that is there over connections that come and go: calls wait for the next connection, within their
 * deadline, and those that were cut off are made again under the id they had, so that nothing is done twice.
 */

import { agentCalls } from '../../interconnect/agent-api.ts';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { AgentClient } from './agent-client.ts';

export interface AgentLink {
  readonly agent: AgentClient;
  connected(client: AgentClient): void;
  /** Calls fail at once until there is a connection again. */
  lost(): void;
}

export function createAgentLink(guest: string, newRequestId: () => string): AgentLink {
  let current: AgentClient | undefined;
  let isLost = false;
  const closed = Promise.withResolvers<void>();
  const waiting = new Set<() => void>();

  function wakeAll(): void {
    for (const wake of [...waiting]) wake();
  }

  /** @throws {OffloadError} guest_lost when it is lost or does not come back in time */
  async function client(what: string, endMs: number): Promise<AgentClient> {
    for (;;) {
      if (isLost) throw new OffloadError('guest_lost', `${what}: guest ${guest} is not connected`);
      if (current && !current.dead) return current;
      const woken = Promise.withResolvers<void>();
      waiting.add(woken.resolve);
      try {
        await withDeadline(woken.promise, Math.max(1, endMs - performance.now()), what);
      } catch {
        throw new OffloadError('guest_lost', `${what}: guest ${guest} is not connected`);
      } finally {
        waiting.delete(woken.resolve);
      }
    }
  }

  return {
    agent: {
      async call(name, body, options) {
        const endMs = performance.now() + options.timeoutMs;
        const { method, path } = agentCalls[name];
        const requestId = options.requestId ?? (method === 'GET' ? undefined : newRequestId());
        for (;;) {
          const connection = await client(`${method} ${path}`, endMs);
          try {
            const timeoutMs = Math.max(1, endMs - performance.now());
            return await connection.call(name, body, {
              ...options,
              timeoutMs,
              ...(requestId === undefined ? {} : { requestId }),
            });
          } catch (error) {
            if (!connection.dead || performance.now() >= endMs) throw error;
          }
        }
      },
      async stream(call) {
        const endMs = performance.now() + call.timeoutMs;
        return (await client(`${call.method} ${call.path}`, endMs)).stream(call);
      },
      async upload(call, body) {
        const endMs = performance.now() + call.timeoutMs;
        return (await client(`${call.method} ${call.path}`, endMs)).upload(call, body);
      },
      closed: closed.promise,
      get dead() {
        return isLost;
      },
      close() {
        isLost = true;
        current?.close();
        closed.resolve();
        wakeAll();
      },
    },
    connected(connection) {
      current = connection;
      isLost = false;
      wakeAll();
    },
    lost() {
      isLost = true;
      wakeAll();
    },
  };
}
