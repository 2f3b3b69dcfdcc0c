/**
 * CRIU's configuration file, named by the annotation `org.criu.config`; it wins over crun's own settings
 * and holds for dumps and restores alike, so it is written anew before each (a leftover `lazy-pages` would
 * turn a dump into a page server that waits for ever).
 */

/** Connections do not outlive a checkpoint; the network namespace is ours, so CRIU need not lock it. */
const COMMON = ['network-lock skip', 'tcp-close', 'skip-in-flight'];

/** @param options.track the kernel notes from this dump on which pages are written to */
export function dumpConfig(options: { address: string; port: number; track: boolean }): string {
  const { address, port, track } = options;
  return lines([
    ...COMMON,
    'page-server',
    `address ${address}`,
    `port ${port}`,
    ...(track ? ['track-mem'] : []),
  ]);
}

/** @param actionScript run by CRIU at each stage of a restore, for tests that hold the container still */
export function restoreConfig(options: { lazyPages: boolean; actionScript?: string }): string {
  return lines([
    ...COMMON,
    ...(options.lazyPages ? ['lazy-pages'] : []),
    ...(options.actionScript ? [`action-script ${options.actionScript}`] : []),
  ]);
}

function lines(options: readonly string[]): string {
  return `${options.join('\n')}\n`;
}
