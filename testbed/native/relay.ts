/** Shapers between pager (or a stock lazy-pages) and the plane: a set latency and bandwidth each way. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { withDeadline } from '../../platform/deadline.ts';
import { OffloadError } from '../../platform/errors.ts';
import { scratchDirectory } from './checkpoint.ts';
import { RELAY } from './programs.ts';
import type { NativePlaneAccess } from './restore.ts';

const START_TIMEOUT_MS = 60_000;
const ECHO_COUNT = 1_000;

export interface RelayOptions {
  latencyUs: number;
  /** 0: as fast as it comes. */
  gbitPerS: number;
}

export interface Relay {
  /** Stands for the target. */
  socket: string;
  /** A port that stands for one of 127.0.0.1. */
  portOf(port: number): Promise<number>;
  /** One way, measured: half of what a round trip takes longer than without the relay. */
  addedLatencyUs: number;
  close(): Promise<void>;
}

interface Child {
  port: number;
  end(): Promise<void>;
}

async function startProgram(args: readonly string[]): Promise<Child> {
  const subprocess = execa(RELAY, args, { reject: false, stdin: 'ignore' });
  const end = async () => {
    subprocess.kill('SIGKILL');
    await subprocess;
  };
  const line = new Promise<string>((resolve) => {
    const lines = createInterface({ input: subprocess.stdout });
    lines.once('line', resolve);
    lines.once('close', () => resolve(''));
  });
  const found = /^ready (\d+)$/.exec(await withDeadline(line, START_TIMEOUT_MS, 'relay start'));
  if (found) return { port: Number(found[1]), end };
  await end();
  throw new OffloadError('runtime_failed', `relay ${args.join(' ')}: ${(await subprocess).stderr}`);
}

/** Between every pager (and every stock lazy-pages) and the plane. */
export async function startRelay(
  access: NativePlaneAccess,
  options: RelayOptions,
): Promise<Relay & { access: NativePlaneAccess }> {
  const relay = await openRelay(access.pagerSocket, options);
  return { ...relay, access: { ...access, pagerSocket: relay.socket, portOf: relay.portOf } };
}

/** @param target the Unix socket that the relay's own socket stands for */
export async function openRelay(target: string, options: RelayOptions): Promise<Relay> {
  const directory = scratchDirectory();
  const children: Child[] = [];
  const shape = [options.latencyUs * 1_000, Math.round(options.gbitPerS * 125_000_000)].map(String);
  const shaped = async (from: string, to: string) => {
    const child = await startProgram([from, to, ...shape]);
    children.push(child);
    return child.port;
  };
  const close = async () => {
    for (const child of children) await child.end();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const socket = join(directory, 'plane.sock');
    await shaped(`unix:${socket}`, `unix:${target}`);
    const echo = `unix:${join(directory, 'echo.sock')}`;
    const throughRelay = `unix:${join(directory, 'shaped-echo.sock')}`;
    children.push(await startProgram(['echo', echo]));
    await shaped(throughRelay, echo);
    const addedLatencyUs = ((await roundTripNs(throughRelay)) - (await roundTripNs(echo))) / 2_000;
    return { socket, portOf: (port) => shaped('tcp:0', `tcp:${port}`), addedLatencyUs, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function roundTripNs(target: string): Promise<number> {
  const { stdout } = await execa(RELAY, ['measure', target, String(ECHO_COUNT)], { timeout: 60_000 });
  return Number(stdout);
}
