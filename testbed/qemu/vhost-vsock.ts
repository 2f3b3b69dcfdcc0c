/**
 * vhost-device-vsock: one daemon a guest, which maps the guest's vsock ports to Unix sockets.
 *
 * One process each, and not one for all: guests of one daemon can dial each other, and a stalled guest
 * stalls its daemon.
 */
import { existsSync } from 'node:fs';
import { pollUntil } from '../../platform/deadline.ts';
import { describeEnd, type RunningProcess } from '../../platform/processes.ts';
import type { RunDirectory } from './run-directory.ts';

export interface VhostVsockOptions {
  cid: number;
  /** QEMU's end. */
  socketPath: string;
  /** The dialler's end: connect and send `CONNECT <port>`; the guest's own calls arrive at `<path>_<port>`. */
  udsPath: string;
}

/** With a buffer this big, raw streams out of the guest stand 128 KiB unacknowledged instead of 48 KiB. */
const txBufferBytes = 1_048_576;

/** Arguments for vhost-device-vsock 0.3. Pure. */
export function vhostVsockArgv(options: VhostVsockOptions): string[] {
  const settings = {
    'guest-cid': options.cid,
    socket: options.socketPath,
    'uds-path': options.udsPath,
    'tx-buffer-size': txBufferBytes,
  };
  const vm = Object.entries(settings).map(([name, setting]) => `${name}=${setting}`);
  return ['--vm', vm.join(',')];
}

/** Starts the daemon and waits until QEMU can connect to it. */
export async function startVhostVsock(
  run: RunDirectory,
  program: string,
  name: string,
  options: VhostVsockOptions,
  timeoutMs: number,
): Promise<RunningProcess> {
  const logPath = run.file(`${name}.vsock.log`);
  const daemon = run.startChild(`${name}-vsock`, program, vhostVsockArgv(options), { logPath });
  let end: string | undefined;
  daemon.exited.then((how) => {
    end = describeEnd(how);
  });
  const what = `start vsock daemon of guest ${name}: wait for ${options.socketPath}`;
  await pollUntil(() => end !== undefined || existsSync(options.socketPath) || undefined, {
    timeoutMs,
    intervalMs: 5,
    what,
  });
  if (end) throw new Error(`start vsock daemon of guest ${name}: ${end} (see ${logPath})`);
  return daemon;
}
