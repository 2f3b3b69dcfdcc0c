/** Container addresses: 10.88.0.0/16 is inside every guest, so an address is unique in the whole plane. */
import { OffloadError } from '../../platform/errors.ts';

const FIRST = 2;
const LAST = 65_534;

/** What `take` could have given: not the gateway, and nothing outside the containers' network. */
export function isContainerAddress(address: string): boolean {
  const [, high, low] = /^10\.88\.(\d{1,3})\.(\d{1,3})\/16$/.exec(address) ?? [];
  if (high === undefined || Number(high) > 255 || Number(low) > 255) return false;
  const number = Number(high) * 256 + Number(low);
  return number >= FIRST && number <= LAST;
}

export function createAddressPool() {
  const taken = new Set<number>();
  let next = FIRST;
  const parse = (address: string) => {
    const [, , high, low] = address.replace(/\/.*/, '').split('.').map(Number);
    return (high ?? 0) * 256 + (low ?? 0);
  };
  return {
    /** A free address with prefix length. @throws {OffloadError} invalid_state when all are taken */
    take(): string {
      for (let tries = FIRST; tries <= LAST; tries += 1) {
        const candidate = next;
        next = next === LAST ? FIRST : next + 1;
        if (taken.has(candidate)) continue;
        taken.add(candidate);
        return `10.88.${candidate >> 8}.${candidate & 255}/16`;
      }
      throw new OffloadError(
        'invalid_state',
        `create container: all ${LAST - FIRST + 1} addresses are taken`,
      );
    },
    /** A restored container keeps its address; it may be taken by its origin in another guest as well. */
    keep(address: string): void {
      taken.add(parse(address));
    },
    release(address: string): void {
      taken.delete(parse(address));
    },
  };
}
export type AddressPool = ReturnType<typeof createAddressPool>;
