/**
 * One guest: its vsock daemon, its QEMU, and the wait for its agent.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { AGENT_PORT } from '../../interconnect/page-protocol.ts';
import { dialGuest } from '../../interconnect/transport.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { describeEnd, lastLines, type ProcessEnd, type RunningProcess } from '../../platform/processes.ts';
import { QmpClient } from '../../platform/qmp.ts';
import { bootMarker } from '../image/init-script.ts';
import type { Progress } from '../setup/cache.ts';
import { type Accelerator, qemuArgv } from './argv.ts';
import type { RunDirectory } from './run-directory.ts';
import { isStalledBoot } from './stalled-kernel.ts';
import { startVhostVsock } from './vhost-vsock.ts';

export interface GuestOptions {
  /** Letters, digits and dashes; names its files, its processes and the guest itself. */
  name: string;
  /** Context identifier on vsock: 3 or more, and no other guest's. */
  cid: number;
  memoryMiB: number;
  vcpus: number;
  /** Vsock port on which the guest gives a root shell. Default: none. */
  shellPort?: number;
}

export interface GuestDeps {
  run: RunDirectory;
  qemuPath: string;
  vhostDeviceVsockPath: string;
  kernelPath: string;
  rootImagePath: string;
  agentLayerPath: string;
  accelerator: Accelerator;
  deadlineScale: number;
  progress: Progress;
}

export interface Guest extends GuestOptions {
  accelerator: Accelerator;
  pid: number;
  /** Connect and send `CONNECT <port>`; calls by the guest to the plane's port P arrive at `<vsockPath>_P`. */
  vsockPath: string;
  qmpPath: string;
  planeQmpPath: string;
  serialLogPath: string;
  /** From the start of the vsock daemon to the agent's first answer. */
  bootMs: number;
  /** Ends QEMU and the daemon, politely first. Safe to call again. */
  stop(): Promise<void>;
  exited: Promise<ProcessEnd>;
}

const daemonTimeoutMs = 5_000;
const bootTimeoutMs = 30_000;
const stopGraceMs = 2_000;

/**
 * Boots a guest and returns when its agent answers; where an emulated kernel stalls, at the second try. Whatever fails,
 * nothing of the guest is left.
 */
export async function startGuest(options: GuestOptions, deps: GuestDeps): Promise<Guest> {
  if (!/^[a-z0-9-]{1,24}$/.test(options.name))
    throw new OffloadError(
      'invalid_request',
      `start guest: name "${options.name}" is not 1 to 24 of a-z, 0-9, -`,
    );
  try {
    return await bootGuest(options, deps);
  } catch (error) {
    if (!(error instanceof StalledBoot)) throw error;
    deps.progress(`${error.message}; booting it again`);
    return await bootGuest(options, deps);
  }
}

class StalledBoot extends OffloadError {}

async function bootGuest(options: GuestOptions, deps: GuestDeps): Promise<Guest> {
  const startMs = performance.now();
  const paths = guestFiles(options.name, deps.run);
  rmSync(paths.serialLogPath, { force: true }); // what a boot before this one said
  const vsock = { cid: options.cid, socketPath: paths.vhostSocketPath, udsPath: paths.vsockPath };
  const daemonLimitMs = daemonTimeoutMs * deps.deadlineScale;
  const daemon = await startVhostVsock(
    deps.run,
    deps.vhostDeviceVsockPath,
    options.name,
    vsock,
    daemonLimitMs,
  );
  const argv = qemuArgv({
    ...options,
    ...deps,
    ...paths,
    qmpPaths: [paths.qmpPath, paths.planeQmpPath],
    kernelParameters: options.shellPort === undefined ? [] : [`offload.shell=${options.shellPort}`],
  });
  const env = { TMPDIR: deps.run.scratchPath };
  const qemu = deps.run.startChild(options.name, deps.qemuPath, argv, { logPath: paths.qemuLogPath, env });
  qemu.exited.then(() => daemon.kill('SIGKILL'));
  const stop = () => stopGuest(qemu, daemon, paths);
  try {
    await waitForAgent(options.name, qemu, paths, deps);
  } catch (error) {
    await stop();
    throw error;
  }
  const { vsockPath, qmpPath, planeQmpPath, serialLogPath } = paths;
  const bootMs = performance.now() - startMs;
  const { accelerator } = deps;
  const addresses = { vsockPath, qmpPath, planeQmpPath, serialLogPath };
  return { ...options, ...addresses, accelerator, pid: qemu.pid, bootMs, stop, exited: qemu.exited };
}

interface GuestFiles {
  vhostSocketPath: string;
  vsockPath: string;
  qmpPath: string;
  planeQmpPath: string;
  serialLogPath: string;
  qemuLogPath: string;
}

function guestFiles(name: string, run: RunDirectory): GuestFiles {
  return {
    vhostSocketPath: run.file(`${name}.vhost.sock`),
    vsockPath: run.file(`${name}.vsock`),
    qmpPath: run.file(`${name}.qmp.sock`),
    planeQmpPath: run.file(`${name}.plane-qmp.sock`),
    serialLogPath: run.file(`${name}.serial.log`),
    qemuLogPath: run.file(`${name}.qemu.log`),
  };
}

async function waitForAgent(
  name: string,
  qemu: RunningProcess,
  files: GuestFiles,
  { accelerator, deadlineScale }: GuestDeps,
): Promise<void> {
  let end: ProcessEnd | undefined;
  let outcome: 'ready' | 'stalled' | 'ended';
  qemu.exited.then((how) => {
    end = how;
  });
  const isReady = async (): Promise<typeof outcome | undefined> => {
    if (end) return 'ended';
    // Dialling a guest whose driver is not there yet hangs, so its own word is awaited first.
    const serialText = readText(files.serialLogPath);
    if (isStalledBoot(accelerator, serialText)) return 'stalled';
    if (!serialText.includes(bootMarker)) return undefined;
    const socket = await dialGuest(files.vsockPath, AGENT_PORT, 2_000);
    socket.destroy();
    return 'ready';
  };
  try {
    const timeoutMs = bootTimeoutMs * deadlineScale;
    const what = `start guest ${name}: wait for its agent`;
    outcome = await pollUntil(isReady, { timeoutMs, intervalMs: 25, what });
  } catch (error) {
    throw new OffloadError('deadline_exceeded', `${(error as Error).message}${lastWords(files)}`);
  }
  if (outcome === 'ready') return;
  if (outcome === 'stalled')
    throw new StalledBoot('guest_lost', `start guest ${name}: its emulated kernel stalled before user space`);
  throw new OffloadError(
    'guest_lost',
    `start guest ${name}: QEMU ended: ${describeEnd(end!)}${lastWords(files)}`,
  );
}

/** What QEMU and the guest said last, for the error message. */
function lastWords(files: GuestFiles): string {
  const qemu = lastLines(readText(files.qemuLogPath), 3);
  const serial = lastLines(readText(files.serialLogPath), 8);
  return `${qemu ? `; QEMU: ${qemu}` : ''}${serial ? `; serial line: ${serial}` : ''}`;
}

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

async function stopGuest(qemu: RunningProcess, daemon: RunningProcess, files: GuestFiles): Promise<void> {
  const killer = setTimeout(() => qemu.kill('SIGKILL'), stopGraceMs);
  if (qemu.isRunning()) await quit(files.qmpPath).catch(() => qemu.kill('SIGKILL'));
  await qemu.exited;
  clearTimeout(killer);
  daemon.kill('SIGKILL');
  await daemon.exited;
  const { serialLogPath: _kept, qemuLogPath: _keptToo, ...sockets } = files;
  for (const path of Object.values(sockets)) rmSync(path, { force: true });
}

async function quit(socketPath: string): Promise<void> {
  const qmp = await QmpClient.connect({ socketPath, timeoutMs: stopGraceMs });
  await qmp.execute('quit').finally(() => qmp.close());
}
