/** The same container in the hands of each side: one bundle of the agent's, copied. */

import { PROGRAMS } from './disk.ts';
import type { InGuest } from './processes.ts';

const BASE = '/run/bench';
const CTR = `${PROGRAMS}/ctr --address ${BASE}/containerd.sock`;
/** In the agent's network, where the plane gives out no addresses. */
const ADDRESS = '10.88.255.1/16';
const NAMESPACE = 'bench';
const VETH = 'bench0';
const CRUN = `crun --root ${BASE}/crun --cgroup-manager cgroupfs`;

/** What `ip` is told to make and to take away: the same that the agent makes. */
const NETWORK = `ip -batch - <<END
netns add ${NAMESPACE}
link add ${VETH} type veth peer name eth0 netns ${NAMESPACE}
link set ${VETH} master offload0 up
END
ip -netns ${NAMESPACE} -batch - <<END
link set lo up
addr add ${ADDRESS} dev eth0
link set eth0 up
route add default via 10.88.0.1
END`;

/** Starts containerd with Debian's configuration. */
export async function startContainerd(inGuest: InGuest): Promise<void> {
  await inGuest(`set -e
mkdir -p ${BASE}
export PATH=${PROGRAMS}:$PATH
setsid ${PROGRAMS}/containerd --config ${PROGRAMS}/config.toml --address ${BASE}/containerd.sock \\
  --root /var/lib/bench-containerd --state ${BASE}/containerd >${BASE}/containerd.log 2>&1 </dev/null &
until ${CTR} version >/dev/null 2>&1; do sleep 0.1; done`);
}

/** Copies a bundle of the agent, with a root of its own: for crun by hand, and for containerd. */
export async function copyBundle(inGuest: InGuest, containerId: string): Promise<void> {
  const source = `/run/offload/containers/${containerId}`;
  await inGuest(`set -e
mkdir -p ${BASE}/rootfs ${BASE}/bundle /var/lib/bench/upper /var/lib/bench/work
cat >${BASE}/copy.mjs <<'END'
import { readFileSync, writeFileSync } from 'node:fs';
const spec = JSON.parse(readFileSync('${source}/config.json', 'utf8'));
spec.root.path = '${BASE}/rootfs';
spec.linux.namespaces.find(({ type }) => type === 'network').path = '/run/netns/${NAMESPACE}';
for (const [path, name] of [['bundle/config.json', 'by-hand'], ['containerd.json', 'containerd']]) {
  spec.linux.cgroupsPath = '/bench/' + name;
  writeFileSync('${BASE}/' + path, JSON.stringify(spec));
}
END
node ${BASE}/copy.mjs
findmnt -no OPTIONS ${source}/rootfs | grep -o 'lowerdir=[^,]*' >${BASE}/lower
${NETWORK}
${mountRoot()}`);
}

const mountRoot = () =>
  `mount -t overlay -o $(cat ${BASE}/lower),upperdir=/var/lib/bench/upper,workdir=/var/lib/bench/work overlay ${BASE}/rootfs`;

const UNDO = `umount ${BASE}/rootfs
ip link del ${VETH}
ip netns del ${NAMESPACE}`;

/** Runs the container under containerd until it is removed. */
export async function runUnderContainerd(inGuest: InGuest): Promise<void> {
  await inGuest(`${CTR} run --detach --config ${BASE}/containerd.json resident`);
}

export async function removeFromContainerd(inGuest: InGuest): Promise<void> {
  await inGuest(removeScript('resident'));
}

/** A task that was killed is gone a moment later. */
const removeScript = (id: string) => `${CTR} task kill --signal SIGKILL ${id}
until ${CTR} task delete ${id} >/dev/null 2>&1; do sleep 0.05; done
${CTR} container delete ${id}`;

/** Bash's own clock: to start a program for the time would take longer than some of what is timed. */
const timed = (commands: string) => `begin=$EPOCHREALTIME
${commands}
end=$EPOCHREALTIME
echo "took $(((\${end/./} - \${begin/./})))"`;

async function tookMs(inGuest: InGuest, script: string): Promise<number> {
  const text = await inGuest(script);
  return Number(/^took (\d+)$/m.exec(text)?.[1]) / 1_000;
}

const CREATE_AND_START = `${CRUN} create --bundle ${BASE}/bundle by-hand </dev/null >/dev/null
${CRUN} start by-hand`;
const DELETE = `${CRUN} delete --force by-hand`;

export const startByCrun = (inGuest: InGuest) =>
  tookMs(inGuest, `set -e\n${timed(CREATE_AND_START)}\n${DELETE}`);

export const startByHand = (inGuest: InGuest) =>
  tookMs(inGuest, `set -e\n${UNDO}\n${timed(`${NETWORK}\n${mountRoot()}\n${CREATE_AND_START}`)}\n${DELETE}`);

export const startByContainerd = (inGuest: InGuest) =>
  tookMs(
    inGuest,
    `set -e\n${timed(`${CTR} run --detach --config ${BASE}/containerd.json started`)}\n${removeScript('started')}`,
  );
