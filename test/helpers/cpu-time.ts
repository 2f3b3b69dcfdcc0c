/** Processor time of this process: what is quick stays so on a busy machine. */

/** @returns what gives the milliseconds since */
export function startCpuTime(): () => number {
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
}
