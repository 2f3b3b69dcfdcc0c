/**
 * Container networks inside the guest: one bridge, one network namespace and veth pair a container.
 * The namespace is made by us and given to crun by path, so a checkpoint does not hold it and a restored
 * container finds the same address in whatever guest it wakes up in.
 */
import { existsSync, readFileSync } from 'node:fs';
import { OffloadError } from '../platform/errors.ts';
import type { RunProgram } from './run-program.ts';

const BRIDGE = 'offload0';
const GATEWAY = '10.88.0.1/16';
/** Interface names have at most 15 characters (IFNAMSIZ), so the veth is named by the address's last two bytes. */
export const vethName = (address: string) =>
  `opv${address.replace(/\/.*/, '').split('.').slice(2).join('x')}`;

/** Arguments: the namespace, what to do outside of it, what inside. */
const ATTACH = 'echo "$1" | ip -batch -; echo "$2" | ip -netns "$0" -batch -';

export function createNetworks(run: RunProgram) {
  let bridge: Promise<unknown> | undefined;
  const ensureBridge = () => {
    // An agent before this one may have made it.
    bridge ??= existsSync(`/sys/class/net/${BRIDGE}`)
      ? Promise.resolve()
      : run('ip', ['-batch', '-'], {
          input: `link add ${BRIDGE} type bridge\naddr add ${GATEWAY} dev ${BRIDGE}\nlink set ${BRIDGE} up\n`,
        });
    return bridge;
  };
  /** Fine when there is none: -force goes on after an error of one line. */
  const clear = (lines: string[]) =>
    run('ip', ['-force', '-batch', '-'], { input: `${lines.join('\n')}\n` }).catch(() => undefined);

  /** Makes the namespace with eth0 at `address` (with prefix length), which nobody else has from then on. */
  async function attach(namespace: string, address: string): Promise<void> {
    await ensureBridge();
    const veth = vethName(address);
    // Starting a program is time that a restore waits for.
    if (existsSync(`/run/netns/${namespace}`) || existsSync(`/sys/class/net/${veth}`)) {
      await clear([`link del ${veth}`, `netns del ${namespace}`]);
    }
    const outside = [
      `netns add ${namespace}`,
      `link add ${veth} type veth peer name eth0 netns ${namespace}`,
      `link set ${veth} alias ${namespace} master ${BRIDGE} up`,
    ];
    const inside = [
      'link set lo up',
      `addr add ${address} dev eth0`,
      'link set eth0 up',
      `route add default via ${GATEWAY.split('/')[0]}`,
    ];
    // One program for both: a shell starts them for a fraction of what it costs this process.
    await run('sh', ['-ec', ATTACH, namespace, outside.join('\n'), inside.join('\n')]);
  }

  return {
    attach,
    /**
     * Of a container that has ended and is made again: another one may have had its address meanwhile.
     * @throws {OffloadError} invalid_state when that one still has it
     */
    async ensure(namespace: string, address: string): Promise<void> {
      const owner = ownerOf(vethName(address));
      if (owner === undefined) return attach(namespace, address);
      if (owner === namespace) return;
      throw new OffloadError('invalid_state', `attach network ${namespace}: ${owner} has address ${address}`);
    },
    /** The address may be another container's by now, which has taken the place of this one. */
    async detach(namespace: string, address: string): Promise<void> {
      const veth = vethName(address);
      const isOwn = (ownerOf(veth) ?? namespace) === namespace;
      await clear([...(isOwn ? [`link del ${veth}`] : []), `netns del ${namespace}`]);
    },
  };
}

/** The namespace whose eth0 is the other end, by the link's alias. undefined when there is none, or it is half made. */
function ownerOf(veth: string): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${veth}/ifalias`, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
export type Networks = ReturnType<typeof createNetworks>;
