/** Random numbers that a seed repeats (mulberry32). */
export type Draw = (limit: number) => number;

export function seeded(seed: number): Draw {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** How many seeds a test goes through: `fallback`, or what the environment says. */
export function seedsOf(variable: string, fallback: number): number[] {
  const count = Number(process.env[variable] ?? fallback);
  const first = Number(process.env[`${variable}_FROM`] ?? 0);
  return Array.from({ length: count }, (_, i) => first + i);
}
