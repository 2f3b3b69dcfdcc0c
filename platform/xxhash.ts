/**
 * XXH64 with seed 0, the checksum of pages and frames. It finds damage, not forgery: whatever has to
 * withstand an attacker is a sha256.
 */
import xxhash from 'xxhash-wasm';

/** Compiled once, when the module loads: 2 ms, so that every later use is a plain call. */
const api = await xxhash();

/** XXH64 (seed 0) of the bytes. */
export function xxh64(bytes: Uint8Array): bigint {
  return api.h64Raw(bytes);
}

/** XXH64 (seed 0) of `byteCount` bytes of `bytes` from `offset`. */
export function xxh64At(bytes: Buffer, offset: number, byteCount: number): bigint {
  return api.h64Raw(bytes.subarray(offset, offset + byteCount));
}
