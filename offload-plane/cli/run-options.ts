/** The flags of `run` and `create`, as Docker and podman have them, and the request they make. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { signalName } from '../../interconnect/signals.ts';
import { OffloadError } from '../../platform/errors.ts';
import type { PortRequest, VolumeMount } from '../containers/container.ts';
import type { ContainerBody } from '../http-api/schemas/containers.ts';
import type { TemplateRunRequest } from '../templates/template.ts';
import { collect, parseBytes, parseCount, parsePort, parseVolume } from './options.ts';
import { addHealthOptions, type HealthFlags, probesOf } from './probe-options.ts';

const MEBIBYTE = 1024 * 1024;

export interface RunFlags extends HealthFlags {
  name?: string;
  guest?: string;
  tenant?: string;
  hostname?: string;
  publish?: PortRequest[];
  env?: string[];
  envFile?: string[];
  workdir?: string;
  user?: string;
  entrypoint?: string;
  memory?: number;
  cpus?: number;
  pidsLimit?: number;
  readOnly?: boolean;
  tmpfs?: ContainerBody['tmpfs'];
  volume?: VolumeMount[];
  capAdd?: string[];
  capDrop?: string[];
  securityOpt?: 'default' | 'unconfined';
  restart?: NonNullable<ContainerBody['restart']>;
  onLost?: NonNullable<ContainerBody['onLost']>;
  stopSignal?: string;
  stopTimeout?: number;
  label?: Record<string, string>;
  interactive?: boolean;
  tty?: boolean;
}

export function addRunOptions(command: Command): Command {
  command
    .option('--name <name>', 'its name (default: one is made up)')
    .option('--guest <guest>', 'where (default: the guest with the most free memory)')
    .option('--tenant <tenant>', 'whose it is: checkpoints of one tenant share equal pages')
    .option('--hostname <name>', 'default: its name')
    .option('-p, --publish <port>', '[hostPort:]containerPort, repeatable', parsePort)
    .option('-e, --env <variable>', 'NAME=value, or NAME alone for its value here; repeatable', collect)
    .option('--env-file <file>', 'variables, one a line; repeatable', collect)
    .option('-w, --workdir <directory>', 'working directory')
    .option('-u, --user <user>', 'name or number, and a group after a colon')
    .option('--entrypoint <program>', 'in place of the image’s entrypoint')
    .option('-m, --memory <bytes>', 'limit, with k, m or g behind it', parseBytes)
    .option('--cpus <count>', 'limit, such as 1.5', parseProcessors)
    .option('--pids-limit <count>', 'how many processes and threads', parseWhole)
    .option('--read-only', 'the root file system cannot be written to')
    .option('--tmpfs <mount>', '/path[:size=64m,mode=1777], repeatable', parseTmpfs)
    .option('-v, --volume <mount>', 'volume:/path[:ro], repeatable; made when it is not there', parseVolume)
    .option('--cap-add <capability>', 'grant it, or ALL; repeatable', collect)
    .option('--cap-drop <capability>', 'take it away, or ALL; repeatable', collect)
    .option('--security-opt <option>', 'seccomp=unconfined, seccomp=default', parseSecurity)
    .option('--restart <policy>', 'no, on-failure[:retries], always, unless-stopped', parseRestart)
    .addOption(
      new Option(
        '--on-lost <what>',
        'when its guest dies: nothing, or its last checkpoint in another',
      ).choices(['none', 'restore']),
    )
    .option('--stop-signal <signal>', 'what asks it to end (default: the image’s, or SIGTERM)')
    .option('--stop-timeout <seconds>', 'how long it may take to end', parseCount)
    .option('-l, --label <label>', 'key=value, repeatable', parseLabel)
    .option('-i, --interactive', 'its standard input is open')
    .option('-t, --tty', 'its standard streams are a terminal');
  return addHealthOptions(command);
}

/** @param env of this process, for variables that are given by name alone */
export function bodyOf(
  image: string,
  command: string[],
  flags: RunFlags,
  env: NodeJS.ProcessEnv,
): ContainerBody {
  const { name, guest, tenant, hostname, publish, workdir, user, entrypoint, memory, cpus, pidsLimit } =
    flags;
  const { readOnly, tmpfs, volume, capAdd, capDrop, securityOpt, restart, onLost, stopSignal, stopTimeout } =
    flags;
  return present({
    image,
    name,
    guest,
    tenant,
    hostname,
    command: command.length > 0 ? command : undefined,
    entrypoint: entrypoint === undefined ? undefined : entrypoint === '' ? [] : [entrypoint],
    env: variablesOf(flags, env),
    workingDir: workdir,
    user,
    ports: publish,
    memoryLimitMiB: memory === undefined ? undefined : Math.ceil(memory / MEBIBYTE),
    cpuLimitMillicores: cpus === undefined ? undefined : Math.round(cpus * 1_000),
    pidLimit: pidsLimit,
    readonlyRootfs: readOnly,
    tmpfs,
    volumes: volume,
    capabilitiesAdd: capAdd,
    capabilitiesDrop: capDrop,
    seccomp: securityOpt,
    restart,
    onLost,
    stopSignal: stopSignal === undefined ? undefined : signalOf(stopSignal),
    stopGraceMs: stopTimeout === undefined ? undefined : stopTimeout * 1_000,
    labels: flags.label,
    openStdin: flags.interactive,
    terminal: flags.tty,
    ...probesOf(flags),
  });
}

/** Flags that say nothing of what is started. */
const BESIDE_TEMPLATE = new Set(
  'template detach rm interactive detachKeys sigProxy json socket url tokenFile'.split(' '),
);

/** @throws {OffloadError} invalid_request for a flag about what the template has decided */
export function templateRunOf({ name, guest, publish, ...others }: RunFlags): TemplateRunRequest {
  const decided = Object.keys(others).filter((flag) => !BESIDE_TEMPLATE.has(flag));
  if (decided.length > 0) {
    throw new OffloadError(
      'invalid_request',
      `run --template: a template has its own ${decided.join(', ')}; what a start chooses is --name, --guest, --publish and --rm`,
    );
  }
  return present({ name, guest, ports: publish });
}

/** `TERM` and `sigterm` are SIGTERM. */
export function signalOf(value: string): string {
  const upper = value.toUpperCase();
  if (/^\d+$/.test(upper)) return numbered(Number(upper));
  return upper.startsWith('SIG') ? upper : `SIG${upper}`;
}

/** The plane takes names. */
function numbered(signal: number): string {
  const name = signalName(signal);
  if (name === undefined) throw new InvalidArgumentError(`there is no signal ${signal} with a name`);
  return name;
}

function variablesOf({ env = [], envFile = [] }: RunFlags, own: NodeJS.ProcessEnv): string[] | undefined {
  const lines = envFile.flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#')),
  );
  const all = [...lines, ...env].flatMap((variable) => {
    if (variable.includes('=')) return [variable];
    const value = own[variable];
    return value === undefined ? [] : [`${variable}=${value}`];
  });
  return all.length === 0 ? undefined : all;
}

function parseWhole(value: string): number {
  if (!/^[1-9]\d{0,6}$/.test(value)) throw new InvalidArgumentError('expected a positive whole number');
  return Number(value);
}

function parseProcessors(value: string): number {
  const count = Number(value);
  if (!/^\d{1,4}(\.\d{1,3})?$/.test(value) || count < 0.01)
    throw new InvalidArgumentError('expected a number such as 1.5');
  return count;
}

type Tmpfs = NonNullable<ContainerBody['tmpfs']>;
function parseTmpfs(value: string, before: Tmpfs = []): Tmpfs {
  const [destination = '', ...rest] = value.split(':');
  const mount: Tmpfs[number] = { destination };
  for (const option of rest.join(':').split(',').filter(Boolean)) {
    const [key, given = ''] = option.split('=');
    if (key === 'size') mount.sizeBytes = parseBytes(given);
    else if (key === 'mode' && /^[0-7]{3,4}$/.test(given)) mount.mode = Number.parseInt(given, 8);
    else throw new InvalidArgumentError(`expected size=… or mode=… and not ${option}`);
  }
  if (!destination.startsWith('/')) throw new InvalidArgumentError('expected an absolute path');
  return [...before, mount];
}

function parseSecurity(value: string): 'default' | 'unconfined' {
  const [, profile] = /^seccomp=(default|unconfined)$/.exec(value) ?? [];
  if (profile === undefined) throw new InvalidArgumentError('expected seccomp=unconfined or seccomp=default');
  return profile as 'default' | 'unconfined';
}

function parseRestart(value: string): NonNullable<RunFlags['restart']> {
  const [, name, retries] = /^(no|on-failure|always|unless-stopped)(?::([1-9]\d{0,5}))?$/.exec(value) ?? [];
  if (name === undefined || (retries !== undefined && name !== 'on-failure')) {
    throw new InvalidArgumentError('expected no, on-failure[:retries], always or unless-stopped');
  }
  const policy = { name: name as 'no' | 'on-failure' | 'always' | 'unless-stopped' };
  return retries === undefined ? policy : { ...policy, maxRetries: Number(retries) };
}

function parseLabel(value: string, before: Record<string, string> = {}): Record<string, string> {
  const [key = '', ...rest] = value.split('=');
  if (key === '') throw new InvalidArgumentError('expected key=value');
  return { ...before, [key]: rest.join('=') };
}

/** Without what is undefined: the plane refuses null, and JSON has no undefined. */
function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}
