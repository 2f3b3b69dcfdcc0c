import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernelCommandLine, type QemuOptions, qemuArgv } from '../../../testbed/qemu/argv.ts';
import { vhostVsockArgv } from '../../../testbed/qemu/vhost-vsock.ts';

const options: QemuOptions = {
  name: 'guest-a',
  accelerator: 'tcg',
  memoryMiB: 2048,
  vcpus: 2,
  kernelPath: '/i/vmlinuz',
  rootImagePath: '/i/root.ext4',
  serialLogPath: '/r/serial.log',
  agentLayerPath: '/l/agent.img',
  qmpPaths: ['/r/qmp.sock', '/r/plane-qmp.sock'],
  vhostSocketPath: '/r/vhost.sock',
};
const after = (argv: string[], flag: string) => argv[argv.indexOf(flag) + 1];

test('emulation runs one thread per virtual CPU with all features', () => {
  const argv = qemuArgv(options);
  assert.is(after(argv, '-accel'), 'tcg,thread=multi');
  assert.is(after(argv, '-cpu'), 'max');
});

test("KVM passes the host's CPU through", () => {
  const argv = qemuArgv({ ...options, accelerator: 'kvm' });
  assert.is(after(argv, '-accel'), 'kvm');
  assert.is(after(argv, '-cpu'), 'host');
});

test("guest memory is shared with the vsock daemon and as big as the guest's", () => {
  const argv = qemuArgv(options);
  assert.ok(argv.includes('memory-backend-memfd,id=memory0,size=2048M,share=on'));
  assert.is(after(argv, '-m'), '2048M');
});

test('the root image is never written and the agent layer is read-only', () => {
  const drives = qemuArgv(options).filter((arg) => arg.startsWith('if=none'));
  assert.match(drives.find((drive) => drive.includes('root.ext4'))!, 'snapshot=on');
  assert.match(drives.find((drive) => drive.includes('agent.img'))!, 'read-only=on');
});

test('testbed and plane get a control socket each', () => {
  const argv = qemuArgv(options);
  assert.ok(argv.includes('socket,id=qmp0,path=/r/qmp.sock,server=on,wait=off'));
  assert.ok(argv.includes('socket,id=qmp1,path=/r/plane-qmp.sock,server=on,wait=off'));
});

test('there is no network device, and a SCSI controller for images', () => {
  const argv = qemuArgv(options);
  assert.ok(argv.includes('virtio-scsi-pci,id=scsi0'));
  assert.not(argv.some((arg) => arg.includes('net')));
});

test('a comma in a path is doubled', () => {
  const argv = qemuArgv({ ...options, rootImagePath: '/a,b/root.ext4' });
  assert.ok(argv.some((arg) => arg.endsWith('file=/a,,b/root.ext4')));
});

test('the kernel boots from NVMe without an initramfs and ends QEMU when it panics', () => {
  const line = kernelCommandLine({ name: 'guest-a', kernelParameters: ['extra'] });
  for (const word of [
    'root=/dev/nvme0n1',
    'rcupdate.rcu_expedited=1',
    'no_timer_check',
    'panic=-1',
    'offload.name=guest-a',
    'extra',
  ])
    assert.ok(line.split(' ').includes(word), word);
  assert.ok(qemuArgv(options).includes('-no-reboot'));
  assert.not(qemuArgv(options).includes('-initrd'));
});

test('the vsock daemon gets one guest with its sockets and a big buffer', () => {
  assert.equal(vhostVsockArgv({ cid: 3, socketPath: '/r/v.sock', udsPath: '/r/v' }), [
    '--vm',
    'guest-cid=3,socket=/r/v.sock,uds-path=/r/v,tx-buffer-size=1048576',
  ]);
});

test.run();
