/**
 * The guest's /sbin/init: everything between the kernel and the agent.
 *
 * No init system: the guest does one thing. tini reaps what containers leave behind, and the agent is
 * started again when it dies. `/run` is a tmpfs because CRIU caches its kernel probes there.
 */

/** Modules loaded at boot; the rest the kernel asks for by itself (there is a modprobe). */
export const guestModules = [
  'vsock',
  'vmw_vsock_virtio_transport',
  'virtio_blk',
  'virtio_scsi',
  'sd_mod',
  'virtio_rng',
  'overlay',
  'erofs',
  'veth',
  'bridge',
];

/** Printed on the serial line once the guest is up; the accelerator's trial boot waits for it. */
export const bootMarker = 'offload-guest: userland up';

/** Where the agent layer is mounted in the guest. */
export const agentLayerMount = '/opt/offload';

export const guestInitScript = `#!/bin/sh
# Made by the guest image recipe: see testbed/image/init-script.ts.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
exec </dev/null >/dev/console 2>&1
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm /dev/shm
mount -t tmpfs -o mode=755,nosuid,nodev run /run
mount -t tmpfs -o mode=1777,nosuid,nodev tmp /tmp
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
echo '+cpu +memory +pids +io' >/sys/fs/cgroup/cgroup.subtree_control
modprobe -a ${guestModules.join(' ')}
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/vm/overcommit_memory
ulimit -n 1048576
name=guest trial= shell=
for word in $(cat /proc/cmdline); do
  case $word in
    offload.name=*) name=\${word#*=} ;;
    offload.trial) trial=1 ;;
    offload.shell=*) shell=\${word#*=} ;;
  esac
done
echo "$name" >/proc/sys/kernel/hostname
echo '${bootMarker}'
if [ "$trial" ]; then
  echo o >/proc/sysrq-trigger
  sleep 60
fi
# The agent layer is the only virtio disk; the controller may show up a little after its driver.
tries=0
until mount -t erofs -o ro /dev/vda ${agentLayerMount} 2>/dev/null; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { echo 'offload-guest: no agent layer on /dev/vda'; break; }
  sleep 0.1
done
# What benches and tests look into a guest with; whoever starts the guest decides.
[ -z "$shell" ] || socat VSOCK-LISTEN:$shell,fork EXEC:/bin/bash,stderr &
exec tini -g -- /bin/sh -c 'while :; do ${agentLayerMount}/start; echo "offload-guest: agent ended ($?)"; sleep 1; done'
`;
