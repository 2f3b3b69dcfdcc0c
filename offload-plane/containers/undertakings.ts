/** What is being done to containers: on record from before the agent hears of it until it is done. */
import type { Answers, KeyOfIntent } from '../operations/answers.ts';
import type { Operations } from '../operations/operations.ts';
import type { Database } from '../state/database.ts';
import type { Container } from './container.ts';
import type { ContainerRecords } from './container-records.ts';
import { type Intent, type IntentOf, openIntents, type Verb } from './intents.ts';

export interface UndertakingsDeps {
  database: Database;
  answers: Answers;
  operations: Pick<Operations, 'currentOf' | 'takeUp'>;
  records: ContainerRecords;
  wallMs: () => number;
  newRequest: () => string;
}

export function createUndertakings(deps: UndertakingsDeps) {
  const { database, answers, operations, records, wallMs, newRequest } = deps;
  const intents = openIntents(database, wallMs);
  /** Cut off in an earlier plane, or left to do in a guest that could not be told. */
  const leftover = new Map(intents.list().map((intent) => [intent.request, intent]));
  /** Containers to which something is being done, by how many. */
  const busy = new Map<string, number>();
  let closed = false;
  for (const { operation } of leftover.values()) operations.takeUp(operation);

  /** In the transaction that ends the intent: what there is to tell of it. */
  function conclude(container: Container, { verb }: Verb, request?: KeyOfIntent): void {
    if (verb === 'create') records.note(container, 'created');
    if (UNTOLD.includes(verb)) return;
    answers.noteResult(
      { path: `/v1/containers/${container.id}`, status: verb === 'create' ? 201 : 200 },
      request,
    );
  }

  /** It is in the store, and what it was to leave of its container is so. */
  function concludeCheckpoint(container: Container, checkpoint: string, request?: KeyOfIntent): void {
    records.note(container, 'checkpointed');
    answers.noteResult({ path: `/v1/checkpoints/${checkpoint}`, status: 201 }, request);
  }

  function count(container: Container, change: 1 | -1): void {
    const underWay = (busy.get(container.id) ?? 0) + change;
    if (underWay === 0) busy.delete(container.id);
    else busy.set(container.id, underWay);
  }

  return {
    isBusy: (id: string): boolean => busy.has(id),
    /** For the request with this key something was cut off that has not been settled yet. */
    isUnfinished: (key: string): boolean => [...leftover.values()].some((intent) => intent.key === key),
    /** Something that was cut off has not been settled yet. */
    isLeft: (id: string): boolean => [...leftover.values()].some(({ container }) => container === id),
    /** Until it is done nobody starts or removes the container unasked. */
    async during<T>(container: Container, verb: Verb, work: (request: string) => Promise<T>): Promise<T> {
      const request = newRequest();
      const operation = verb.verb === 'checkpoint' ? operations.currentOf(verb.verb) : undefined;
      intents.begin({
        ...{ request, container: container.id },
        ...answers.keyOfIntent(),
        ...(operation === undefined ? {} : { operation }),
        ...verb,
      });
      count(container, 1);
      try {
        const result = await work(request);
        // A plane that ends leaves it to the next one.
        if (closed) return result;
        database.transaction(() => {
          intents.end(request);
          if (verb.verb === 'checkpoint') {
            concludeCheckpoint(container, verb.checkpoint);
          } else conclude(container, verb);
        });
        return result;
      } catch (error) {
        // A plane that ends leaves it to the next one.
        if (!closed) intents.end(request);
        throw error;
      } finally {
        count(container, -1);
      }
    },
    /** Something that has to be done once the guest is reached. */
    leave(verb: Verb, container: string): void {
      const intent: Intent = { request: newRequest(), container, ...verb };
      intents.begin(intent);
      database.afterCommit(() => leftover.set(intent.request, intent));
    },
    leftover: (): Intent[] => [...leftover.values()],
    /** Drains of which nothing else is left to settle. */
    leftDrains(): IntentOf<'drain'>[] {
      const all = [...leftover.values()];
      const isAlone = ({ container }: Intent) =>
        all.filter((other) => other.container === container).length === 1;
      return all.filter((intent) => intent.verb === 'drain').filter(isAlone);
    },
    /**
     * @param container unless it is gone
     * @param committed of a checkpoint
     */
    settle(intent: Intent, container: Container | undefined, committed = false): void {
      if (closed) return;
      database.transaction(() => {
        intents.end(intent.request);
        if (container && intent.verb === 'checkpoint' && committed) {
          concludeCheckpoint(container, intent.checkpoint, intent);
        } else if (container) conclude(container, intent, intent);
      });
      leftover.delete(intent.request);
    },
    /** It goes on beside everything else, and ends with `over`. */
    goOn(intent: Intent, container: Container, over: Promise<void>): void {
      leftover.delete(intent.request);
      count(container, 1);
      void over.finally(() => {
        count(container, -1);
        // A plane that ends leaves it to the next one.
        if (!closed) intents.end(intent.request);
      });
    },
    close(): void {
      closed = true;
    },
  };
}
/** Of these, whoever does them tells. */
const UNTOLD: Verb['verb'][] = ['checkpoint', 'restore', 'remove', 'move', 'drain'];

export type Undertakings = ReturnType<typeof createUndertakings>;
