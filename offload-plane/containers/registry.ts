/** The plane's containers by id, and found by what people call them: id, name, or the beginning of an id. */
import { OffloadError } from '../../platform/errors.ts';
import type { Container } from './container.ts';

const ID_BYTES = 6;
const ID_PREFIX = /^[0-9a-f]{4,12}$/;

export function createRegistry(randomBytes: (byteCount: number) => Buffer) {
  const byId = new Map<string, Container>();
  const byName = new Map<string, Container>();

  /** @throws {OffloadError} invalid_request when the beginning of an id is that of several */
  function findByPrefix(prefix: string): Container | undefined {
    if (!ID_PREFIX.test(prefix)) return undefined;
    const matches = [...byId.values()].filter(({ id }) => id.startsWith(prefix));
    if (matches.length > 1) {
      throw new OffloadError(
        'invalid_request',
        `container ${prefix}: the ids of ${matches.length} containers begin so`,
      );
    }
    return matches[0];
  }

  return {
    newId(): string {
      for (;;) {
        const id = randomBytes(ID_BYTES).toString('hex');
        if (!byId.has(id)) return id;
      }
    },
    /** @throws {OffloadError} not_found */
    get(reference: string): Container {
      const container = byId.get(reference) ?? byName.get(reference) ?? findByPrefix(reference);
      if (!container) {
        throw new OffloadError('not_found', `container ${reference}: there is none of this name`);
      }
      return container;
    },
    /** Its id; of one that is gone, what it was asked by. */
    idOf(reference: string): string {
      return (byId.get(reference) ?? byName.get(reference) ?? findByPrefix(reference))?.id ?? reference;
    },
    byId: (id: string): Container | undefined => byId.get(id),
    list: (): Container[] => [...byId.values()],
    isTaken: (name: string): boolean => byName.has(name),
    /** @throws {OffloadError} already_exists */
    expectFree(name: string, operation: string): void {
      if (byName.has(name)) throw new OffloadError('already_exists', `${operation}: the name is taken`);
    },
    add(container: Container): void {
      byId.set(container.id, container);
      byName.set(container.name, container);
    },
    renamed(container: Container, oldName: string): void {
      byName.delete(oldName);
      byName.set(container.name, container);
    },
    remove(container: Container): void {
      byId.delete(container.id);
      byName.delete(container.name);
    },
  };
}
