/** The real file system, but for one operation: the n-th that changes something fails as told. */
import { realFileSystem, type StoreFileSystem } from '../../../offload-plane/page-store/file-system.ts';

export type Fault = 'ENOSPC' | 'EIO' | 'short';

/** What changes the device, or makes sure that it did. Closing and removing are what cleaning up needs. */
const PATH_OPERATIONS = ['link', 'mkdir', 'rename'] as const;
const FILE_OPERATIONS = new Set(['write', 'sync', 'datasync']);

export class FaultyFiles {
  /** Operations so far, by which a run without faults is counted. */
  readonly sites: string[] = [];
  readonly fileSystem: StoreFileSystem;
  #failAt = -1;
  #fault: Fault = 'EIO';

  constructor() {
    const system = { ...realFileSystem } as StoreFileSystem & Record<string, unknown>;
    for (const name of PATH_OPERATIONS) {
      const real = realFileSystem[name] as (...args: unknown[]) => Promise<unknown>;
      system[name] = (async (...args: unknown[]) => {
        this.#pass(name);
        return await real(...args);
      }) as never;
    }
    system.open = async (path, flags, mode) => {
      const writes = typeof flags === 'string' && /[wa+]/.test(flags);
      if (writes) this.#pass(`open ${flags}`);
      return this.#watch(await realFileSystem.open(path, flags, mode));
    };
    this.fileSystem = system;
  }

  failAt(site: number, fault: Fault): void {
    this.#failAt = site;
    this.#fault = fault;
  }

  get hasFailed(): boolean {
    return this.#failAt >= 0 && this.sites.length > this.#failAt;
  }

  #watch<T extends object>(file: T): T {
    return new Proxy(file, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (!FILE_OPERATIONS.has(String(name))) return value.bind(target);
        return async (...args: unknown[]) => {
          const cut = this.#pass(String(name));
          if (cut && typeof args[2] === 'number') args[2] = Math.max(1, args[2] >> 1);
          return await value.apply(target, args);
        };
      },
    });
  }

  /** true when this operation has to be cut short. */
  #pass(site: string): boolean {
    const here = this.sites.push(site) - 1 === this.#failAt;
    if (!here) return false;
    if (this.#fault === 'short') return true;
    throw Object.assign(new Error(`${this.#fault}: injected into ${site}`), { code: this.#fault });
  }
}
