/** XXH64 with seed 0, as the page protocol uses it. */
import xxhash from 'xxhash-wasm';

export async function loadHasher(): Promise<{ digest64(bytes: Uint8Array): bigint }> {
  const { h64Raw } = await xxhash();
  return { digest64: (bytes) => h64Raw(bytes) };
}
