/** A real QEMU whose processors never start: for what is asked of it over QMP no guest is needed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { tempDirectory } from './temp-directory.ts';
import { until } from './until.ts';

const PROGRAM = 'qemu-system-x86_64';
export const hasQemu = spawnSync(PROGRAM, ['--version']).status === 0;

export interface IdleQemu {
  /** Two of them: a QMP socket serves one client at a time. */
  readonly qmpPaths: readonly [string, string];
  kill(): Promise<void>;
}

export async function startIdleQemu(): Promise<IdleQemu> {
  const directory = tempDirectory('idle-qemu');
  const qmpPaths = [join(directory, 'qmp0'), join(directory, 'qmp1')] as const;
  const args = ['-machine', 'q35', '-accel', 'tcg', '-m', '64', '-nodefaults', '-display', 'none', '-S'];
  const sockets = qmpPaths.flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`]);
  const child: ChildProcess = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', '--', PROGRAM, ...args, '-device', 'virtio-scsi-pci,id=scsi0', ...sockets],
    { stdio: 'ignore' },
  );
  const ended = once(child, 'exit');
  await until('QEMU listens', () => qmpPaths.every((path) => existsSync(path)));
  return {
    qmpPaths,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
