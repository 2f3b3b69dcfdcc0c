/**
 * CRIU's configuration file, named by the annotation `org.criu.config`; it wins over crun's own settings
 * and holds for dumps and restores alike, so it is written anew before each (a leftover `lazy-pages` would
 * turn a dump into a page server that waits for ever).
 */

/** Connections do not outlive a checkpoint; the network namespace is ours, so CRIU need not lock it. */
const COMMON = ['network-lock skip', 'tcp-close', 'skip-in-flight'];

export interface DumpConfig {
  /** Of the page server. */
  address: string;
  port: number;
  /** The kernel notes from this dump on which pages are written to. */
  track: boolean;
  /** Directory with the inventory of the dump that this one builds on, relative to the images. */
  parent?: string | undefined;
}

/** crun has an option for the parent as well, and asks CRIU first what the kernel can do: one more start of CRIU. */
export function dumpConfig({ address, port, track, parent }: DumpConfig): string {
  return lines([
    ...COMMON,
    'page-server',
    `address ${address}`,
    `port ${port}`,
    ...(track || parent !== undefined ? ['track-mem'] : []),
    ...(parent === undefined ? [] : [`prev-images-dir ${parent}`]),
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
