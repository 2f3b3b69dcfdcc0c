/**
 * The QEMU command line of one guest, as a pure function.
 */

export type Accelerator = 'kvm' | 'tcg';

export interface QemuOptions {
  name: string;
  accelerator: Accelerator;
  memoryMiB: number;
  vcpus: number;
  kernelPath: string;
  rootImagePath: string;
  /** Added to the kernel's command line. */
  kernelParameters?: string[];
  serialLogPath: string;
  /** Read-only erofs with the agent; a trial boot has none. */
  agentLayerPath?: string;
  /** Control sockets: one for the testbed, one for the plane. A trial boot has none. */
  qmpPaths?: string[];
  /** Socket of the guest's vsock daemon. */
  vhostSocketPath?: string;
}

/** Room for the container images that the plane attaches over QMP. */
const scsiControllerId = 'scsi0';
/** The bus that `device_add scsi-hd` names. */
export const scsiBus = `${scsiControllerId}.0`;

/**
 * `rcu_expedited` makes mounts and namespaces cheap (a container restore takes a third of the time), and
 * with `panic=-1` and `-no-reboot` a kernel panic ends QEMU. `no_timer_check`: a kernel that does not know of KVM counts
 * timer interrupts for some 40 ms at boot and panics when there are too few, which a busy host's emulation can be late with
 * (Linux, arch/x86/kernel/apic/io_apic.c; a guest of KVM never looks).
 */
export function kernelCommandLine(options: Pick<QemuOptions, 'name' | 'kernelParameters'>): string {
  return [
    'console=ttyS0',
    'root=/dev/nvme0n1',
    'rootfstype=ext4',
    'rw',
    'rcupdate.rcu_expedited=1',
    'no_timer_check',
    'panic=-1',
    'quiet',
    `offload.name=${options.name}`,
    ...(options.kernelParameters ?? []),
  ].join(' ');
}

/** QEMU takes a comma in an option's value doubled. */
function value(text: string): string {
  return text.replaceAll(',', ',,');
}

/** Arguments for qemu-system-x86_64 10 or newer. There is no network device: vsock is the only way in. */
export function qemuArgv(options: QemuOptions): string[] {
  const isKvm = options.accelerator === 'kvm';
  return [
    ...['-name', `guest=${value(options.name)}`],
    ...['-machine', 'q35,memory-backend=memory0,vmport=off,usb=off'],
    ...['-accel', isKvm ? 'kvm' : 'tcg,thread=multi'],
    ...['-cpu', isKvm ? 'host' : 'max'],
    ...['-m', `${options.memoryMiB}M`],
    ...['-smp', `${options.vcpus}`],
    // vhost-user: the vsock daemon maps the guest's memory, so it has to be shared.
    ...['-object', `memory-backend-memfd,id=memory0,size=${options.memoryMiB}M,share=on`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-chardev', `file,id=serial0,path=${value(options.serialLogPath)},append=on`],
    ...['-serial', 'chardev:serial0'],
    ...(options.qmpPaths ?? []).flatMap(qmpArgv),
    ...rootDriveArgv(options.rootImagePath),
    ...(options.agentLayerPath ? agentLayerArgv(options.agentLayerPath) : []),
    ...['-device', `virtio-scsi-pci,id=${scsiControllerId}`],
    ...['-object', 'rng-random,id=rng0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=rng0'],
    ...(options.vhostSocketPath ? vsockArgv(options.vhostSocketPath) : []),
    ...['-kernel', options.kernelPath, '-append', kernelCommandLine(options)],
  ];
}

function qmpArgv(path: string, index: number): string[] {
  const id = `qmp${index}`;
  const chardev = `socket,id=${id},path=${value(path)},server=on,wait=off`;
  return ['-chardev', chardev, '-mon', `chardev=${id},mode=control`];
}

/** All guests share the image; each writes to an unlinked temporary overlay in $TMPDIR. */
function rootDriveArgv(path: string): string[] {
  const drive = `if=none,id=root,format=raw,snapshot=on,file=${value(path)}`;
  return ['-drive', drive, '-device', 'nvme,drive=root,serial=offload-root'];
}

function agentLayerArgv(path: string): string[] {
  const drive = `if=none,id=agent,format=raw,read-only=on,file=${value(path)}`;
  return ['-drive', drive, '-device', 'virtio-blk-pci,drive=agent,serial=offload-agent'];
}

function vsockArgv(path: string): string[] {
  const chardev = `socket,id=vsock0,path=${value(path)}`;
  return ['-chardev', chardev, '-device', 'vhost-user-vsock-pci,chardev=vsock0'];
}
