/**
 * Which accelerator really boots a guest here, found out by booting one.
 *
 * The presence of /dev/kvm proves nothing: under some hypervisors it opens and runs toy programs while a
 * stock kernel ends in an internal error or crawls. The verdict holds until the machine, the kernel or QEMU
 * changes.
 */
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pollUntil } from '../../platform/deadline.ts';
import { bootMarker } from '../image/init-script.ts';
import type { Progress } from '../setup/cache.ts';
import { type Accelerator, qemuArgv } from './argv.ts';
import type { RunDirectory } from './run-directory.ts';
import { isStalledBoot } from './stalled-kernel.ts';

export interface AcceleratorVerdict {
  accelerator: Accelerator;
  /** From the start of QEMU to the first line of userland. */
  bootMs: number;
  /** What deadlines written for a fast machine are multiplied by here; at least 1. */
  deadlineScale: number;
}

export interface AcceleratorOptions {
  cacheDirectory: string;
  run: RunDirectory;
  progress: Progress;
  qemuPath: string;
  qemuVersion: string;
  kernelPath: string;
  rootImagePath: string;
  /** Takes this one without asking KVM; it still has to boot. */
  override?: Accelerator;
}

const kvmDeadlineMs = 20_000;
const tcgDeadlineMs = 120_000;
/** What a trial boot takes on a machine that deadlines are written for (KVM on bare metal: about 1 s). */
const nominalBootMs = 1_000;
const STALLED = 'the emulated kernel stalled before user space';

/** Finds the accelerator, from the cache when nothing changed since the last trial. */
export async function chooseAccelerator(options: AcceleratorOptions): Promise<AcceleratorVerdict> {
  const path = join(options.cacheDirectory, 'accelerator.json');
  const key = verdictKey(options);
  const known = readVerdict(path, key);
  if (known) return known;
  const verdict = await tryAccelerators(options);
  mkdirSync(options.cacheDirectory, { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify({ key, verdict }));
  renameSync(draft, path);
  return verdict;
}

/** Deadlines grow with the boot time; emulation is uneven, so it gets at least four times as long. */
export function deadlineScaleOf(accelerator: Accelerator, bootMs: number): number {
  const least = accelerator === 'tcg' ? 4 : 1;
  return Math.min(20, Math.max(least, Math.ceil(bootMs / nominalBootMs)));
}

function verdictKey(options: AcceleratorOptions): string {
  const hash = createHash('sha256').update(readFileSync(options.kernelPath));
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  hash.update(`\0${options.qemuVersion}\0${bootId}\0${options.override ?? ''}`);
  return hash.digest('hex').slice(0, 32);
}

function readVerdict(path: string, key: string): AcceleratorVerdict | undefined {
  try {
    const stored = JSON.parse(readFileSync(path, 'utf8')) as { key: string; verdict: AcceleratorVerdict };
    return stored.key === key ? stored.verdict : undefined;
  } catch {
    return undefined;
  }
}

async function tryAccelerators(options: AcceleratorOptions): Promise<AcceleratorVerdict> {
  const { progress, override } = options;
  if (override !== 'tcg') {
    if (canOpenKvm()) {
      progress(`accelerator: trying KVM with a real boot (at most ${kvmDeadlineMs / 1000} s)`);
      const kvm = await trialBoot('kvm', kvmDeadlineMs, options);
      if (typeof kvm === 'object') return announce(kvm, progress);
      progress(`accelerator: KVM does not boot a guest here (${kvm})`);
      if (override) throw new Error(`accelerator kvm: does not boot a guest here (${kvm})`);
    } else if (override) {
      throw new Error('accelerator kvm: /dev/kvm cannot be opened on this machine');
    }
  }
  progress('accelerator: trying TCG (emulation)');
  let tcg = await trialBoot('tcg', tcgDeadlineMs, options);
  if (tcg === STALLED) {
    progress(`accelerator: ${STALLED}; booting again`);
    tcg = await trialBoot('tcg', tcgDeadlineMs, options);
  }
  if (typeof tcg === 'object') return announce(tcg, progress);
  throw new Error(`accelerator tcg: the guest does not boot: ${tcg}`);
}

function announce(verdict: AcceleratorVerdict, progress: Progress): AcceleratorVerdict {
  const name = verdict.accelerator === 'kvm' ? 'KVM' : 'TCG';
  progress(`accelerator: ${name}, boots in ${Math.round(verdict.bootMs)} ms`);
  return verdict;
}

function canOpenKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Boots the real kernel up to userland. Returns the verdict, or in a few words why it did not work. */
async function trialBoot(
  accelerator: Accelerator,
  timeoutMs: number,
  options: AcceleratorOptions,
): Promise<AcceleratorVerdict | string> {
  const serialLogPath = options.run.file(`trial-${accelerator}.serial.log`);
  const logPath = options.run.file(`trial-${accelerator}.qemu.log`);
  for (const path of [serialLogPath, logPath]) rmSync(path, { force: true });
  const argv = qemuArgv({
    name: `trial-${accelerator}`,
    accelerator,
    memoryMiB: 512,
    vcpus: 2,
    kernelPath: options.kernelPath,
    rootImagePath: options.rootImagePath,
    kernelParameters: ['offload.trial'],
    serialLogPath,
  });
  const startMs = performance.now();
  const env = { TMPDIR: options.run.scratchPath };
  const qemu = options.run.startChild(`trial-${accelerator}`, options.qemuPath, argv, { logPath, env });
  try {
    return await pollUntil(
      () => {
        const serialText = readText(serialLogPath);
        if (isStalledBoot(accelerator, serialText)) return STALLED;
        if (serialText.includes(bootMarker)) {
          const bootMs = performance.now() - startMs;
          return { accelerator, bootMs, deadlineScale: deadlineScaleOf(accelerator, bootMs) };
        }
        if (readText(logPath).includes('KVM internal error')) return 'KVM internal error';
        return qemu.isRunning() ? undefined : `QEMU ended: ${readText(logPath).split('\n')[0]}`;
      },
      { timeoutMs, intervalMs: 20, what: `trial boot under ${accelerator}` },
    );
  } catch {
    return `no userland within ${timeoutMs / 1000} s`;
  } finally {
    qemu.kill('SIGKILL');
    await qemu.exited;
  }
}

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
