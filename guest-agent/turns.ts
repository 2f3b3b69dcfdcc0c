/** One at a time for each key, in the order of asking: what finds a state has it to itself while it changes it. */
export type InTurn<K> = <T>(key: K, action: () => Promise<T>) => Promise<T>;

export function createTurns<K>(): InTurn<K> {
  const last = new Map<K, Promise<unknown>>();
  return async (key, action) => {
    const before = last.get(key);
    const mine = before ? before.then(action, action) : action();
    last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (last.get(key) === mine) last.delete(key);
    }
  };
}
